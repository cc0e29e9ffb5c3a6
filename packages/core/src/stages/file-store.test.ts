import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { afterAll, beforeEach, describe, expect, test } from 'vitest'
import { fileStore } from './file-store.ts'

const root = await mkdtemp(join(tmpdir(), 'waybill-files-'))
afterAll(() => rm(root, { recursive: true }))

let directory = root
beforeEach(async () => {
  directory = join(await mkdtemp(join(root, 'store-')), 'made', 'by', 'need')
})

const id = '2999-11-29/0199f3a2-0000-4000-8000-00000000000a'
const body = Buffer.from('body')

describe('a file store', () => {
  test('keeps, gives and removes', async () => {
    const store = fileStore(directory)
    expect(await store.get(id)).toBeUndefined()
    await store.put(id, body)
    await store.put(`${id}.done-0`, body)
    expect(await store.get(id)).toEqual(body)
    expect(await fileStore(directory).get(`${id}.done-0`)).toEqual(body)
    await store.remove(id)
    await store.remove(id)
    expect(await store.get(id)).toBeUndefined()
  })

  test('shows whole bodies or none while they are written, and leaves no other files', async () => {
    const store = fileStore(directory)
    const large = Buffer.alloc(10_000_000, 1)
    const writing = Promise.all([
      store.put(id, large),
      ...Array.from({ length: 20 }, (_, n) => store.put(`${id}.${n}`, body)),
    ])
    let isDone = false
    void writing.then(() => {
      isDone = true
    })
    while (!isDone) {
      const found = await store.get(id)
      if (found !== undefined) expect(found.byteLength).toBe(large.byteLength)
      await setTimeout(1)
    }
    await writing
    expect(await readdir(join(directory, '2999-11-29'))).toHaveLength(21)
  })

  test.each([
    '',
    'x',
    '../../x',
    '2999-11-29',
    '2999-11-29/',
    '2999-11-29/..',
    '2999-11-29/../x',
    '2999-11-29/a/b',
    '2999-11-29/.hidden',
    '2999-11-29/a\0b',
    '/2999-11-29/a',
    '2999-11-29\\..\\a',
    `2999-11-29/${'a'.repeat(101)}`,
  ])('refuses the id %j', async (wrong) => {
    const store = fileStore(directory)
    for (const call of [store.put(wrong, body), store.get(wrong), store.remove(wrong)])
      await expect(call).rejects.toThrow('is no id of a claim')
    expect(await readdir(root)).not.toContain('x')
  })

  test('sweeps days that are too old, and nothing else', async () => {
    const store = fileStore(directory, { keepFor: '2d' })
    const day = (ago: number) => new Date(Date.now() - ago * 86_400_000).toISOString().slice(0, 10)
    for (const name of [day(0), day(1), day(2), day(5), '1999-12-31', 'notes', '1999-12-31-notes']) {
      await mkdir(join(directory, name), { recursive: true })
      await writeFile(join(directory, name, 'a'), 'a')
    }
    expect((await store.sweep()).toSorted()).toEqual(['1999-12-31', day(5)])
    expect((await readdir(directory)).toSorted()).toEqual(
      ['1999-12-31-notes', day(0), day(1), day(2), 'notes'].toSorted(),
    )
    expect(await store.sweep()).toEqual([])
  })

  test('sweeps by itself when bodies are written, and not each time', async () => {
    const store = fileStore(directory)
    const days = async () => (await readdir(directory)).toSorted()
    await mkdir(join(directory, '1999-12-31'), { recursive: true })
    await store.put(id, body)
    for (let tries = 0; (await days()).length > 1; tries += 1) {
      if (tries > 1000) throw new Error('The old day is still there')
      await setTimeout(5)
    }
    await mkdir(join(directory, '1999-12-31'))
    // Each of them would sweep, and they take longer than that.
    for (let count = 0; count < 20; count += 1) await store.put(id, body)
    expect(await days()).toEqual(['1999-12-31', '2999-11-29'])
  })

  test('has nothing to sweep before it is used', async () => {
    expect(await fileStore(directory).sweep()).toEqual([])
  })

  test('rejects when it cannot write', async () => {
    await mkdir(directory, { recursive: true })
    await writeFile(join(directory, '2999-11-29'), 'a file where the day’s directory should be')
    await expect(fileStore(directory).put(id, body)).rejects.toThrow()
    await expect(fileStore(directory).get(id)).rejects.toThrow('ENOTDIR')
  })

  test('names all wrong options', () => {
    expect(() => fileStore('', { keepFor: '5m' })).toThrow(/directory: .*\n.*keepFor: .*3600000 ms/)
    expect(() => fileStore('a', { keep: '1d' } as never)).toThrow('keep')
    expect(() => fileStore(undefined as never)).toThrow('directory')
  })
})
