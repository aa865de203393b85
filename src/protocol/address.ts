/**
 * Addresses as strings on the wire (DAP's `memoryReference`), bigint inside:
 *
 *     0x…             linear, in the current CR3
 *     cr3=0x…:0x…     linear, in the address space of that CR3
 *     phys:0x…        guest-physical
 *     hpa:0x…         host-physical
 */

import type { Address } from '../inspect/address.ts'
import { ArgumentError } from './fields.ts'

const NUMBER = /^(?:0x[0-9a-f]{1,16}|[0-9]{1,20})$/i
const WITH_CR3 = /^cr3=([^:]+):(.+)$/i
const LAST_ADDRESS = 2n ** 64n - 1n

/** Throws {@link ArgumentError}. */
export function parseAddress(text: string): Address {
  const trimmed = text.trim()
  const withCr3 = WITH_CR3.exec(trimmed)
  if (withCr3 !== null) return { space: 'linear', cr3: number(withCr3[1], text), address: number(withCr3[2], text) }
  if (/^phys:/i.test(trimmed)) return { space: 'physical', address: number(trimmed.slice(5), text) }
  if (/^hpa:/i.test(trimmed)) return { space: 'host', address: number(trimmed.slice(4), text) }
  return { space: 'linear', address: number(trimmed, text) }
}

export function formatAddress(address: Address): string {
  const digits = hex(address.address)
  if (address.space === 'physical') return `phys:${digits}`
  if (address.space === 'host') return `hpa:${digits}`
  return address.cr3 === undefined ? digits : `cr3=${hex(address.cr3)}:${digits}`
}

/** The address `bytes` further on; wraps at 2^64 as linear addresses do. */
export function advance(address: Address, bytes: number): Address {
  return { ...address, address: BigInt.asUintN(64, address.address + BigInt(bytes)) }
}

export const hex = (value: bigint): string => `0x${value.toString(16)}`

function number(digits: string, whole: string): bigint {
  const value = NUMBER.test(digits) ? BigInt(digits) : -1n
  if (value >= 0n && value <= LAST_ADDRESS) return value
  throw new ArgumentError(`address "${whole}": expected 0x…, phys:0x…, hpa:0x… or cr3=0x…:0x…`)
}
