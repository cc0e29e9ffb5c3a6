import { expect, test } from 'vitest'
import { Acknowledgements } from './acknowledgements.ts'

function frames(acknowledgements: Acknowledgements, tags: readonly number[]) {
  return acknowledgements
    .frames(tags.map((tag) => ({ tag })))
    .map(({ delivery: { tag }, multiple }) => (multiple ? `up to ${tag}` : `${tag}`))
}

test('a run from the lowest open tag takes one frame, in whatever order it comes', () => {
  expect(frames(new Acknowledgements(), [3, 1, 2])).toEqual(['up to 3'])
})

test('tags beyond an open one are acknowledged one by one', () => {
  const acknowledgements = new Acknowledgements()
  expect(frames(acknowledgements, [1, 3, 4])).toEqual(['3', '4', '1'])
  expect(frames(acknowledgements, [2])).toEqual(['2'])
  expect(frames(acknowledgements, [6, 5])).toEqual(['up to 6'])
})

test('no frame names a tag that was settled before, which the broker would refuse', () => {
  const acknowledgements = new Acknowledgements()
  frames(acknowledgements, [3, 4])
  expect(frames(acknowledgements, [1, 2])).toEqual(['up to 2'])
})

test('tags given back count as settled', () => {
  const acknowledgements = new Acknowledgements()
  acknowledgements.skip([{ tag: 1 }, { tag: 3 }])
  expect(frames(acknowledgements, [2, 4])).toEqual(['up to 4'])
})
