/**
 * A whole VM as bytes: configuration, clock, turn, exit totals, vCPUs, devices, and RAM by guest-physical page.
 * Host frames and EPT are not part of it: they are made again when the RAM is written back.
 *
 * Layout, little-endian: "RINGSIDE", u32 version, SHA-256 of all that follows, u32 length of the header, the header
 * as JSON, then chunks of pages: u32 pages, u32 length of the compressed data, u32 page number for each page
 * (bit 31: the page is all zero and has no data), and the pages' bytes compressed by zlib.
 */

import { createHash } from 'node:crypto'
import { constants, deflateSync, inflateSync } from 'node:zlib'
import { PAGE_SIZE } from '../engine/host-memory.ts'
import type { Json } from '../util/json.ts'
import type { GuestPhysicalMemory } from './guest-memory.ts'
import type { Vm, VmState } from './vm.ts'

const MAGIC = 'RINGSIDE'
export const SNAPSHOT_VERSION = 3
const VERSION_AT = MAGIC.length
const DIGEST_AT = VERSION_AT + 4
const LENGTH_AT = DIGEST_AT + 32
const HEADER_AT = LENGTH_AT + 4
const CHUNK_PAGES = 256
const ZERO_PAGE = 2 ** 31

/** A snapshot that can't be restored; the message says what is wrong with it. */
export class SnapshotError extends Error {}

/** Everything but RAM. */
export interface SnapshotHeader {
  /** What the machine was made from; it must be the same for the machine that is restored into. */
  readonly configuration: Json
  readonly vm: VmState
  /** By name. */
  readonly devices: Readonly<Record<string, Json>>
}

/** The snapshot in pieces, to be written one after another. `vm` must stand between two calls of `run`. */
export function saveSnapshot(vm: Vm, configuration: Json, devices: Readonly<Record<string, Json>>): Uint8Array[] {
  const header: SnapshotHeader = { configuration, vm: vm.save(), devices }
  const json = new TextEncoder().encode(JSON.stringify(header))
  const body = [json, ...ramChunks(vm.memory)]
  const prefix = new Uint8Array(HEADER_AT)
  prefix.set(new TextEncoder().encode(MAGIC))
  const view = new DataView(prefix.buffer)
  view.setUint32(VERSION_AT, SNAPSHOT_VERSION, true)
  view.setUint32(LENGTH_AT, json.length, true)
  const hash = createHash('sha256').update(prefix.subarray(LENGTH_AT))
  for (const piece of body) hash.update(piece)
  prefix.set(hash.digest(), DIGEST_AT)
  return [prefix, ...body]
}

/**
 * The header of a snapshot, checked to be whole. Throws {@link SnapshotError} if it is damaged, made by another
 * version, or made of a machine with another configuration.
 */
export function readSnapshotHeader(name: string, snapshot: Uint8Array, configuration: Json): SnapshotHeader {
  const view = new DataView(snapshot.buffer, snapshot.byteOffset, snapshot.byteLength)
  if (snapshot.length < HEADER_AT || new TextDecoder().decode(snapshot.subarray(0, MAGIC.length)) !== MAGIC)
    throw new SnapshotError(`snapshot "${name}": this is not a Ringside snapshot`)
  const version = view.getUint32(VERSION_AT, true)
  if (version !== SNAPSHOT_VERSION)
    throw new SnapshotError(
      `snapshot "${name}": version ${version}, and this Ringside reads version ${SNAPSHOT_VERSION}: save it again`,
    )
  const digest = createHash('sha256').update(snapshot.subarray(LENGTH_AT)).digest()
  if (digest.compare(snapshot, DIGEST_AT, LENGTH_AT) !== 0)
    throw new SnapshotError(`snapshot "${name}": damaged or cut short (its checksum differs): save it again`)

  const json = snapshot.subarray(HEADER_AT, HEADER_AT + view.getUint32(LENGTH_AT, true))
  // Written by saveSnapshot of the same version, as version and checksum say.
  const header: SnapshotHeader = JSON.parse(new TextDecoder().decode(json))
  const difference = firstDifference(header.configuration, configuration)
  if (difference !== undefined)
    throw new SnapshotError(`snapshot "${name}": made of another machine (${difference}): start the same one`)
  return header
}

/** Writes RAM, clock, turn and vCPUs back into a VM that has not run and has the snapshot's configuration. */
export function restoreVm(vm: Vm, snapshot: Uint8Array, header: SnapshotHeader): void {
  const view = new DataView(snapshot.buffer, snapshot.byteOffset, snapshot.byteLength)
  vm.reset()
  let at = HEADER_AT + view.getUint32(LENGTH_AT, true)
  while (at < snapshot.length) {
    const pages = view.getUint32(at, true)
    const length = view.getUint32(at + 4, true)
    const numbers = at + 8
    const data = numbers + pages * 4
    const bytes = inflateSync(snapshot.subarray(data, data + length))
    let next = 0
    for (let i = 0; i < pages; i++) {
      const number = view.getUint32(numbers + i * 4, true)
      if (number >= ZERO_PAGE) {
        vm.memory.frame((number - ZERO_PAGE) * PAGE_SIZE)
        continue
      }
      vm.memory.write(number * PAGE_SIZE, bytes.subarray(next, next + PAGE_SIZE))
      next += PAGE_SIZE
    }
    at = data + length
  }
  vm.restore(header.vm)
}

function* ramChunks(memory: GuestPhysicalMemory): Generator<Uint8Array> {
  let pages: number[] = []
  for (const gpa of memory.touchedPages()) {
    pages.push(gpa)
    if (pages.length < CHUNK_PAGES) continue
    yield chunkOf(memory, pages)
    pages = []
  }
  if (pages.length > 0) yield chunkOf(memory, pages)
}

function chunkOf(memory: GuestPhysicalMemory, pages: readonly number[]): Uint8Array {
  const numbers = new Uint32Array(pages.length)
  const data = new Uint8Array(pages.length * PAGE_SIZE)
  let used = 0
  for (const [i, gpa] of pages.entries()) {
    const bytes = memory.read(gpa, PAGE_SIZE)
    numbers[i] = gpa / PAGE_SIZE
    if (bytes.every(byte => byte === 0)) numbers[i] += ZERO_PAGE
    else {
      data.set(bytes, used)
      used += PAGE_SIZE
    }
  }
  const compressed = deflateSync(data.subarray(0, used), { level: constants.Z_BEST_SPEED })
  const chunk = new Uint8Array(8 + pages.length * 4 + compressed.length)
  const view = new DataView(chunk.buffer)
  view.setUint32(0, pages.length, true)
  view.setUint32(4, compressed.length, true)
  for (const [i, number] of numbers.entries()) view.setUint32(8 + i * 4, number, true)
  chunk.set(compressed, 8 + pages.length * 4)
  return chunk
}

/** Names the first field in which two configurations differ, or undefined. */
function firstDifference(saved: Json, wanted: Json, path = ''): string | undefined {
  if (JSON.stringify(saved) === JSON.stringify(wanted)) return undefined
  if (!isRecord(saved) || !isRecord(wanted))
    return `its ${path || 'configuration'} is ${JSON.stringify(saved)}, here ${JSON.stringify(wanted)}`
  for (const key of new Set([...Object.keys(saved), ...Object.keys(wanted)])) {
    const difference = firstDifference(saved[key] ?? null, wanted[key] ?? null, path === '' ? key : `${path}.${key}`)
    if (difference !== undefined) return difference
  }
  return undefined
}

const isRecord = (value: Json): value is { readonly [key: string]: Json } =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
