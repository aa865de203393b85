/** Reading saved state back. A snapshot is a file, and a file can be wrong: every field is checked. */

import type { Json } from '../util/json.ts'

type JsonObject = { readonly [key: string]: Json }

function isArray(value: Json | undefined): value is readonly Json[] {
  return Array.isArray(value)
}

function isObject(value: Json | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** Bytes as saved state holds them: base64. */
export function encodeBytes(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('base64')
}

/**
 * The saved fields of one device, or of a part of it. Every getter throws {@link Error} on a field that isn't what it
 * should be.
 */
export class SavedState {
  readonly #owner: string
  readonly #fields: JsonObject

  /** @param owner name of the device, for error messages. */
  constructor(owner: string, state: Json) {
    if (!isObject(state)) throw new Error(`saved state of ${owner}: not an object; the snapshot is damaged`)
    this.#owner = owner
    this.#fields = state
  }

  number(key: string): number {
    const value = this.#fields[key]
    if (typeof value !== 'number' || !Number.isSafeInteger(value)) throw this.#wrong(key, 'an integer')
    return value
  }

  /** Saved as null when there is none. */
  optionalNumber(key: string): number | undefined {
    return this.#fields[key] === null ? undefined : this.number(key)
  }

  /** Saved as decimal digits: JSON has no integers beyond 2^53. */
  bigint(key: string): bigint {
    const value = this.#fields[key]
    if (typeof value !== 'string' || !/^\d+$/.test(value)) throw this.#wrong(key, 'an integer in decimal digits')
    return BigInt(value)
  }

  text(key: string): string {
    const value = this.#fields[key]
    if (typeof value !== 'string') throw this.#wrong(key, 'text')
    return value
  }

  boolean(key: string): boolean {
    const value = this.#fields[key]
    if (typeof value !== 'boolean') throw this.#wrong(key, 'true or false')
    return value
  }

  /** @param count how many there must be; any number when undefined. */
  numbers(key: string, count?: number): number[] {
    return this.#array(key, count).map(value => {
      if (typeof value !== 'number' || !Number.isSafeInteger(value)) throw this.#wrong(key, 'a list of integers')
      return value
    })
  }

  /** @param length how many there must be; any number when undefined. */
  bytes(key: string, length?: number): Uint8Array {
    const value = this.#fields[key]
    if (typeof value !== 'string') throw this.#wrong(key, 'bytes in base64')
    const bytes = new Uint8Array(Buffer.from(value, 'base64'))
    if (length !== undefined && bytes.length !== length) throw this.#wrong(key, `${length} bytes`)
    return bytes
  }

  part(key: string): SavedState {
    const value = this.#fields[key]
    if (!isObject(value)) throw this.#wrong(key, 'an object')
    return new SavedState(`${this.#owner}, ${key}`, value)
  }

  /** Saved as null when there is none. */
  optionalPart(key: string): SavedState | undefined {
    return this.#fields[key] === null ? undefined : this.part(key)
  }

  /** Saved state of a device that this one holds. */
  value(key: string): Json {
    const value = this.#fields[key]
    if (value === undefined) throw this.#wrong(key, 'there')
    return value
  }

  /** Saved states of devices that this one holds. */
  values(key: string, count?: number): readonly Json[] {
    return this.#array(key, count)
  }

  parts(key: string, count?: number): SavedState[] {
    return this.#array(key, count).map((value, index) => new SavedState(`${this.#owner}, ${key}[${index}]`, value))
  }

  #array(key: string, count: number | undefined): readonly Json[] {
    const value = this.#fields[key]
    if (!isArray(value)) throw this.#wrong(key, 'a list')
    if (count !== undefined && value.length !== count) throw this.#wrong(key, `a list of ${count}`)
    return value
  }

  #wrong(key: string, expected: string): Error {
    return new Error(
      `saved state of ${this.#owner}: "${key}" is not ${expected}; the snapshot is damaged or from another version`,
    )
  }
}
