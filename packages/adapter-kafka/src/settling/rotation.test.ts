import { expect, test } from 'vitest'
import { Rotation } from './rotation.ts'

/** Whom a message meets that everyone leaves to others, from its first retry on. `owners`: of each retry partition. */
function roundsOf(owners: readonly string[], first: string, rounds: number): string[] {
  const rotations = new Map(
    [...new Set([first, ...owners])].map((member) => [
      member,
      new Rotation({ count: () => owners.length, isOurs: (index) => owners[index] === member }),
    ]),
  )
  const met: string[] = []
  let member = first
  let place: Parameters<Rotation['next']>[0] = { kind: 'main', index: 0 }
  for (let round = 0; round < rounds; round += 1) {
    const index = rotations.get(member)?.next(place) ?? -1
    place = { kind: 'retry', index }
    member = owners[index] ?? 'nobody'
    met.push(member)
  }
  return met
}

test('of two members the other gets it at once, however the partitions are divided', () => {
  for (const owners of ['ab', 'abab', 'aabb', 'aaab', 'abbb', 'aba']) {
    for (let repeat = 0; repeat < 8; repeat += 1) expect(roundsOf([...owners], 'a', 1)).toEqual(['b'])
  }
})

test('every member that has a retry partition meets it within as many rounds as there are partitions', () => {
  for (const owners of ['abcd', 'aabbccdd', 'abca', 'abcabcab', 'aaabac', 'abcde']) {
    for (const first of [...new Set(owners), 'member without any']) {
      for (let repeat = 0; repeat < 8; repeat += 1) {
        const met = new Set([first, ...roundsOf([...owners], first, owners.length)])
        expect([...owners].every((owner) => met.has(owner))).toBe(true)
      }
    }
  }
})

test('a member that has them all takes them in turn', () => {
  const rotation = new Rotation({ count: () => 3, isOurs: () => true })
  expect([0, 1, 2].map((index) => rotation.next({ kind: 'retry', index }))).toEqual([1, 2, 0])
  const first = rotation.next({ kind: 'main', index: 0 }) ?? -1
  expect(rotation.next({ kind: 'main', index: 0 })).toBe((first + 1) % 3)
})

test('the number of partitions may not be known yet', () => {
  const rotation = new Rotation({ count: () => 0, isOurs: () => false })
  expect(rotation.next({ kind: 'main', index: 0 })).toBeUndefined()
})
