/** `name == "init"`: the characters of an array, or those that a pointer leads to, up to their NUL. */

import { stripped } from '../../symbols/dwarf/type-model.ts'
import { type Bound, type Compute, scalarOf } from './bound.ts'
import { integerFormat } from './built-in-types.ts'
import { ExpressionError } from './expression-error.ts'
import { unreadable } from './subject.ts'

export function compareString(a: Bound, b: Bound, pointerSize: 4 | 8): Compute<boolean> {
  if (a.place.kind === 'string' && b.place.kind === 'string') {
    const equal = a.place.text === b.place.text
    return () => equal
  }
  const [text, other] =
    a.place.kind === 'string' ? [a.place.text, b] : b.place.kind === 'string' ? [b.place.text, a] : ['', a]
  const pointer = scalarOf(other, pointerSize)
  if (pointer.kind !== 'pointer' || integerFormat(stripped(pointer.target))?.size !== 1)
    throw new ExpressionError(`${other.type?.name ?? 'void'} is no string, so it can't be compared with one`)
  const array = stripped(other.type)
  // An array that its text fills has no NUL.
  const room = array?.kind === 'array' && array.counts.length === 1 ? array.counts[0] : undefined
  const wanted = Buffer.from(`${text}\0`, 'latin1')
  const length = Math.min(wanted.length, room || wanted.length)
  if (text.length > length) return () => false
  const { space, value } = pointer
  return subject => {
    const address = value(subject)
    for (let at = 0; at < length; at++) {
      const byte = subject.read(space, BigInt.asUintN(64, address + BigInt(at)), 1)
      if (byte === undefined) throw unreadable(space, address, length)
      if (byte[0] !== wanted[at]) return false
    }
    return true
  }
}
