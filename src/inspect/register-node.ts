/** What registers are shown as: a tree of names and values. */

import type { Address } from './address.ts'

/** The symbol that covers a linear address. */
export type Describe = (address: bigint) => string | undefined

export interface RegisterNode {
  readonly name: string
  readonly value: string
  /** The value where it is shown as a decimal number, for those who want to see it in hexadecimal. */
  readonly decimal?: bigint
  /** Name of the register that this is all of, in `VcpuView`: what an assignment sets. */
  readonly register?: string
  /** The node is only this field of {@link register}. */
  readonly field?: string
  /** What the register holds, when it may be an address. */
  readonly address?: Address
  readonly meaning?: string
  readonly children?: readonly RegisterNode[]
}

export interface RegisterGroup {
  readonly name: string
  /** Wanted at every stop, or only when asked for. */
  readonly rare?: boolean
  /** Made when they are looked at. */
  nodes(): readonly RegisterNode[]
}

export const hex = (value: bigint): string => `0x${value.toString(16)}`
export const padded = (value: bigint, digits: number): string => `0x${value.toString(16).padStart(digits, '0')}`

export function decimalNode(name: string, value: bigint | number, meaning?: string): RegisterNode {
  const decimal = BigInt(value)
  return { name, value: decimal.toString(), decimal, ...(meaning === undefined ? {} : { meaning }) }
}

/** A register that may hold a linear address, with the symbol that it leads to. */
export function addressNode(name: string, value: bigint, digits: number, describe: Describe): RegisterNode {
  const symbol = describe(value)
  const text = padded(value, digits)
  return {
    name,
    value: symbol === undefined ? text : `${text} <${symbol}>`,
    address: { space: 'linear', address: value },
  }
}
