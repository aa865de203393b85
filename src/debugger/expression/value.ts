/** A typed value of the guest: what it is and where it lives. Its bytes are read when asked for. */

import type { Address } from '../../inspect/address.ts'
import type { Type } from '../../symbols/dwarf/type-model.ts'
import { ExpressionError } from './expression-error.ts'
import { type Space, type Subject, unreadable } from './subject.ts'

/** Of a bit field: counted from the least significant bit of the first byte. */
export interface BitRange {
  readonly offset: number
  readonly size: number
}

export interface Value {
  /** undefined for void. */
  readonly type: Type | undefined
  readonly place: Place
  /** The address space that a computed pointer leads into, when it is not the linear one. */
  readonly pointsInto?: Space
}

export type Place =
  | { readonly kind: 'memory'; readonly address: Address; readonly bits?: BitRange | undefined }
  /** Some bytes of a register of the frame. */
  | {
      readonly kind: 'register'
      /** The machine's name. */
      readonly name: string
      /** The lowest bit of the value in the register, and how many it has. */
      readonly shift: number
      readonly width: number
      readonly bytes: Uint8Array
      readonly bits?: BitRange | undefined
    }
  /** Computed, or put together of pieces: it can't be assigned. */
  | { readonly kind: 'constant'; readonly bytes: Uint8Array; readonly bits?: BitRange | undefined }
  /** The program does not keep it here. */
  | { readonly kind: 'unavailable'; readonly reason: string }

/** Bounds what one value may read. */
export const LARGEST_VALUE = 1 << 20

/**
 * Its first `size` bytes; of a bit field those that it lies in.
 * Throws {@link ExpressionError} when there are none to read.
 */
export function bytesOf(value: Value, subject: Subject, size = sizeOf(value)): Uint8Array {
  const { place } = value
  if (size > LARGEST_VALUE) throw new ExpressionError(`${size} bytes are more than are read at once (${LARGEST_VALUE})`)
  switch (place.kind) {
    case 'memory': {
      const { space, address } = place.address
      const bytes = subject.read(space, address, size)
      if (bytes === undefined) throw unreadable(space, address, size)
      return bytes
    }
    case 'register':
    case 'constant':
      return place.bytes.subarray(0, size)
    case 'unavailable':
      throw new ExpressionError(`the value is optimized out: ${place.reason}`)
  }
}

export function sizeOf({ type, place }: Value): number {
  if (place.kind !== 'unavailable' && place.bits !== undefined)
    return Math.ceil((place.bits.offset + place.bits.size) / 8)
  if (type?.size === undefined) throw new ExpressionError(`the size of ${type?.name ?? 'void'} is not known`)
  return type.size
}

/** A part of a value: `offset` bytes into it. */
export function partOf({ place }: Value, type: Type | undefined, offset: number, bits?: BitRange): Value {
  switch (place.kind) {
    case 'memory': {
      const { address } = place
      const moved = { ...address, address: BigInt.asUintN(64, address.address + BigInt(offset)) }
      return { type, place: { kind: 'memory', address: moved, bits } }
    }
    case 'register': {
      const bytes = place.bytes.subarray(offset)
      const width = Math.min((type?.size ?? 0) * 8, place.width - offset * 8)
      return { type, place: { ...place, shift: place.shift + offset * 8, width, bytes, bits } }
    }
    case 'constant':
      return { type, place: { kind: 'constant', bytes: place.bytes.subarray(offset), bits } }
    case 'unavailable':
      return { type, place }
  }
}
