import { describe, expect, it } from 'vitest'
import { decodeAnswer, encodeCall, listOf } from './call.ts'

describe('encodeCall', () => {
  it('passes keys by position and tells their names, beside the arguments', () => {
    const call = {
      keys: { topic: 'a', streams: ['b', 'c'], absent: undefined },
      args: { max: 5 },
      values: ['x'],
    }
    expect(encodeCall(call)).toEqual([
      ...[3, 'a', 'b', 'c'],
      ...['{"max":5,"keys":{"topic":1,"streams":[2,3]}}', 'x'],
    ])
  })
})

describe('decodeAnswer', () => {
  it('reads named fields and bytes', () => {
    const bytes = Buffer.from([255])
    expect(decodeAnswer([Buffer.from('{"count":2}'), bytes])).toEqual({
      fields: { count: 2 },
      values: [bytes],
    })
    expect(decodeAnswer(null)).toEqual({ fields: {}, values: [] })
  })

  it("takes Lua's empty object for an empty list", () => {
    expect(listOf({})).toEqual([])
    expect(listOf([{ a: 1 }])).toEqual([{ a: 1 }])
  })
})
