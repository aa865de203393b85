/** A task-state segment decoded (SDM vol. 3, 8.2.1, 8.6, 8.7). */

import { EFER_LMA } from '../x86/control-registers.ts'
import { RIGHTS_UNUSABLE } from '../x86/segment-rights.ts'
import { isSet } from './control-bits.ts'
import { readLinear } from './linear-memory.ts'
import type { MachineView, VcpuView } from './machine-view.ts'

export interface TaskState {
  readonly kind: '16-bit' | '32-bit' | '64-bit'
  readonly selector: number
  readonly base: bigint
  readonly limit: number
  /** By the manual's names, in the order of memory. */
  readonly fields: readonly { readonly name: string; readonly value: bigint }[]
  /** Ports that the I/O permission bitmap allows, as ranges; absent where there is no bitmap. */
  readonly ports?: readonly { readonly first: number; readonly last: number }[]
}

/** Offset, size in bytes, name. */
type Field = readonly [offset: number, size: 2 | 4 | 8, name: string]

const LONG: readonly Field[] = [
  ...[0, 1, 2].map((n): Field => [4 + n * 8, 8, `RSP${n}`]),
  ...[1, 2, 3, 4, 5, 6, 7].map((n): Field => [0x24 + (n - 1) * 8, 8, `IST${n}`]),
  [0x66, 2, 'I/O map base'],
]
const STACKS_32: readonly Field[] = [0, 1, 2].flatMap((n): Field[] => [
  [4 + n * 8, 4, `ESP${n}`],
  [8 + n * 8, 2, `SS${n}`],
])
const REGISTERS_32 = ['CR3', 'EIP', 'EFLAGS', 'EAX', 'ECX', 'EDX', 'EBX', 'ESP', 'EBP', 'ESI', 'EDI']
const SEGMENTS_32 = ['ES', 'CS', 'SS', 'DS', 'FS', 'GS', 'LDT']
const PROTECTED: readonly Field[] = [
  [0, 2, 'link'],
  ...STACKS_32,
  ...REGISTERS_32.map((name, i): Field => [0x1c + i * 4, 4, name]),
  ...SEGMENTS_32.map((name, i): Field => [0x48 + i * 4, 2, name]),
  [0x64, 2, 'T'],
  [0x66, 2, 'I/O map base'],
]
const WORDS_16 = ['link', 'SP0', 'SS0', 'SP1', 'SS1', 'SP2', 'SS2', 'IP', 'FLAGS', 'AX', 'CX', 'DX', 'BX']
const OLD: readonly Field[] = [...WORDS_16, 'SP', 'BP', 'SI', 'DI', 'ES', 'CS', 'SS', 'DS', 'LDT'].map(
  (name, i): Field => [i * 2, 2, name],
)
const IO_MAP_BASE = 0x66
const PORTS = 65_536

/** The TSS that TR names; undefined while none is loaded. */
export function taskState(machine: MachineView, vcpu: VcpuView): TaskState | undefined {
  const { selector, base, limit, rights } = vcpu.segment('tr')
  if ((rights & RIGHTS_UNUSABLE) !== 0 || (selector & 0xfffc) === 0) return undefined
  const kind = isSet(vcpu.register('efer'), EFER_LMA) ? '64-bit' : (rights & 8) !== 0 ? '32-bit' : '16-bit'
  const bytes = readLinear(machine, vcpu, base, Math.min(limit + 1, IO_MAP_BASE + 2 + PORTS / 8 + 1))
  const fields = (kind === '64-bit' ? LONG : kind === '32-bit' ? PROTECTED : OLD)
    .filter(([offset, size]) => offset + size <= bytes.length)
    .map(([offset, size, name]) => ({ name, value: little(bytes, offset, size) }))
  const ports = kind === '16-bit' ? undefined : allowedPorts(bytes, limit)
  return { kind, selector, base, limit, fields, ...(ports === undefined ? {} : { ports }) }
}

/** A bit that is clear allows its port; the map ends where the segment does (SDM vol. 1, 19.5.2). */
function allowedPorts(bytes: Uint8Array, limit: number): { first: number; last: number }[] | undefined {
  if (bytes.length < IO_MAP_BASE + 2) return undefined
  const map = Number(little(bytes, IO_MAP_BASE, 2))
  // The processor reads two bytes for each port: the last byte of the segment is no part of the map.
  const end = Math.min(bytes.length, limit)
  if (map >= end) return undefined
  const ranges: { first: number; last: number }[] = []
  for (let port = 0; port < Math.min(PORTS, (end - map) * 8); port++) {
    if ((bytes[map + (port >> 3)] & (1 << (port & 7))) !== 0) continue
    const range = ranges.at(-1)
    if (range?.last === port - 1) range.last = port
    else ranges.push({ first: port, last: port })
  }
  return ranges
}

function little(bytes: Uint8Array, offset: number, size: number): bigint {
  let value = 0n
  for (let i = size - 1; i >= 0; i--) value = (value << 8n) | BigInt(bytes[offset + i])
  return value
}
