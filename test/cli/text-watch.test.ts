import { describe, expect, it } from 'vitest'
import { TextWatch } from '../../src/cli/text-watch.ts'

/** Offsets of the bytes that complete the text. */
function found(text: string, stream: string): number[] {
  const watch = new TextWatch(text)
  return [...new TextEncoder().encode(stream)].flatMap((byte, at) => (watch.push(byte) ? [at] : []))
}

describe('watching for a text', () => {
  it('finds it in the middle, at each occurrence', () => {
    expect(found('login:', 'debian login: x login:')).toEqual([12, 21])
  })

  it('finds it after a beginning that went wrong', () => {
    expect(found('aab', 'aaab')).toEqual([3])
    expect(found('abcabd', 'abcabcabd')).toEqual([8])
  })

  it('finds occurrences that overlap', () => {
    expect(found('aa', 'aaaa')).toEqual([1, 2, 3])
  })

  it('compares UTF-8', () => {
    expect(found('ü', 'über')).toEqual([1])
  })
})
