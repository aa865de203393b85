/**
 * Guests that are noise: random bytes as code, in every mode, behind random page tables and descriptor tables. Whatever
 * they do is an exit or an exception of their own: nothing is thrown at the hypervisor, nothing outside their frames is
 * written, and the same noise leads to the same end.
 */

import { createHash } from 'node:crypto'
import { afterAll, describe, expect, it } from 'vitest'
import { FRAMES_BASE } from '../../src/engine/layout.ts'
import type { Exit, Vcpu } from '../../src/engine/processor.ts'
import { EPT_RIGHTS } from '../../src/vmm/ept.ts'
import { Guest, Host, registersOf } from './guest/guest.ts'
import { Random } from './guest/random.ts'
import { RandomCode } from './guest/random-code.ts'

const RAM = 0x40000
const PAGES = RAM / 4096
const host = new Host()
const guest = new Guest(host, { bytes: RAM, cpus: 2 })
/** The same with everything compiled that runs twice. */
const compiled = new Guest(new Host({ hotEntries: 2 }), { bytes: RAM, cpus: 2 })
afterAll(() => {
  guest.release()
  compiled.release()
})

/** Of each guest: instructions at most, and runs at most, since most exits come after a few instructions. */
const INSTRUCTIONS = 30_000
const RUNS = 500

const MODES = ['real', 'protected-16', 'protected-32', '32-bit', 'pae', 'compatibility', '64-bit', 'user'] as const
type Mode = (typeof MODES)[number]

const randomBytes = (random: Random, count: number): number[] => Array.from({ length: count }, () => random.below(256))

/** Instructions of 64-bit mode, with bytes changed here and there; in other modes they are something else. */
function nearlyCode(random: Random): number[] {
  const code = new RandomCode(random, { sse: true, strings: true, division: true, holes: 0.1 })
  const bytes: number[] = []
  while (bytes.length < 4096) bytes.push(...code.snippet().flat())
  for (let i = 0; i < bytes.length; i++) if (random.chance(0.02)) bytes[i] = random.below(256)
  return bytes.slice(0, 4096)
}

/** A page of paging-structure entries that mostly lead into RAM, and sometimes anywhere. */
function entries(random: Random, bytes: 4 | 8): number[] {
  const page: number[] = []
  while (page.length < 4096) {
    const flags =
      BigInt(random.chance(0.9) ? random.word() & 0x167 : random.word() & 0xfff) | (random.chance(0.8) ? 3n : 0n)
    let entry = (BigInt(random.below(PAGES)) << 12n) | flags
    if (random.chance(0.03)) entry = random.word64()
    for (let i = 0; i < bytes; i++) page.push(Number((entry >> BigInt(8 * i)) & 0xffn))
  }
  return page
}

/** A page of descriptors and gates, many of them plausible. */
function descriptors(random: Random): number[] {
  const page: number[] = []
  const rights = [0x9b, 0x93, 0xfb, 0xf3, 0x8e, 0xee, 0x8f, 0x85, 0x89, 0x82, 0x86, 0x8c]
  while (page.length < 4096) {
    const gate = [random.below(256), random.below(256), random.below(16) * 8, 0, 0, random.pick(rights), 0, 0]
    const code = [0xff, 0xff, 0, 0, 0, random.pick(rights), random.pick([0xcf, 0xaf, 0x0f, 0x8f]), 0]
    page.push(...(random.chance(0.1) ? randomBytes(random, 8) : random.chance(0.5) ? gate : code))
  }
  return page
}

function fill(guest: Guest, random: Random, mode: Mode): void {
  for (let page = 0; page < PAGES; page++) {
    const kind = random.below(10)
    const bytes =
      kind < 4
        ? nearlyCode(random)
        : kind < 6
          ? entries(random, mode === '32-bit' ? 4 : 8)
          : kind < 8
            ? descriptors(random)
            : randomBytes(random, 4096)
    guest.write(page * 4096, Uint8Array.from(bytes))
  }
  mapRam(guest, random, mode)
}

/** The tables that CR3 leads to first map RAM one to one, with a few entries of noise: otherwise nothing would run. */
function mapRam(guest: Guest, random: Random, mode: Mode): void {
  const size = mode === '32-bit' ? 4 : 8
  const set = (entry: number, value: bigint) =>
    size === 4 ? guest.write32(entry, Number(value & 0xffff_ffffn)) : guest.write64(entry, value)
  const path = mode === '32-bit' ? [0x1000, 0x4000] : mode === 'pae' ? [0x1000, 0x3000, 0x4000] : TABLES
  path.slice(0, -1).forEach((table, i) => {
    guest.write(table, new Uint8Array(entries(random, size)))
    set(table, BigInt(path[i + 1]) | (mode === 'pae' && i === 0 ? 1n : 7n))
  })
  guest.write(0x4000, new Uint8Array(entries(random, size)))
  for (let page = 0; page < PAGES; page++)
    if ((page >= 4 && page < 8) || random.chance(0.95))
      set(0x4000 + page * size, BigInt(page * 4096) | (random.chance(0.9) ? 7n : 3n))
}
const TABLES = [0x1000, 0x2000, 0x3000, 0x4000]

const [IDT, GDT, HANDLERS, TSS] = [0x5000, 0x6000, 0x7400, 0x7800]
const HANDLER_SELECTOR = 24
const WITH_ERROR_CODE = new Set([8, 10, 11, 12, 13, 14, 17])

/**
 * Handlers that go on at the next byte, for guests that would end at their first fault otherwise: the noise may
 * overwrite them.
 */
function installHandlers(guest: Guest, mode: Mode): void {
  const long = isLong(mode)
  // inc qword [rsp]; iretq, after add rsp, 8 where there is an error code; and the same in 32 bits
  const skip = long ? [0x48, 0xff, 0x04, 0x24, 0x48, 0xcf] : [0xff, 0x04, 0x24, 0xcf]
  guest.write(HANDLERS, skip)
  guest.write(HANDLERS + 0x100, [...(long ? [0x48, 0x83, 0xc4, 0x08] : [0x83, 0xc4, 0x04]), ...skip])
  const user = mode === 'user' ? 0x0000_6000_0000_0000n : 0n
  const size = mode === '64-bit' || mode === 'user' ? 0x00af_9b00_0000_ffffn : 0x00cf_9b00_0000_ffffn
  guest.write64(GDT + 8, (mode === 'protected-16' ? 0x008f_9b00_0000_ffffn : size) | user)
  guest.write64(GDT + 16, 0x00cf_9300_0000_ffffn | user)
  guest.write64(GDT + HANDLER_SELECTOR, long ? 0x00af_9b00_0000_ffffn : 0x00cf_9b00_0000_ffffn)
  guest.write32(TSS + 4, RAM - 0x1000)
  guest.write32(TSS + 8, long ? 0 : 16)
  for (let vector = 0; vector < 32; vector++) {
    const handler = BigInt(WITH_ERROR_CODE.has(vector) ? HANDLERS + 0x100 : HANDLERS)
    const gate = handler | (BigInt(HANDLER_SELECTOR) << 16n) | (0x8e00n << 32n)
    guest.write64(IDT + vector * (long ? 16 : 8), gate)
    if (long) guest.write64(IDT + vector * 16 + 8, 0n)
  }
}

const isLong = (mode: Mode): boolean => mode === 'compatibility' || mode === '64-bit' || mode === 'user'

const FLAT = { base: 0n, limit: 0xffff_ffff }
const CODE_RIGHTS: Readonly<Record<Mode, number>> = {
  real: 0x9b,
  'protected-16': 0x809b,
  'protected-32': 0xc09b,
  '32-bit': 0xc09b,
  pae: 0xc09b,
  compatibility: 0xc09b,
  '64-bit': 0xa09b,
  user: 0xa0fb,
}

function enter(guest: Guest, random: Random, mode: Mode, vcpu: Vcpu): void {
  vcpu.reset()
  const { registers } = vcpu
  const long = isLong(mode)
  const paging = long || mode === '32-bit' || mode === 'pae'
  registers.set('efer', long ? 0xd01n : 0x801n)
  // With SMAP the handlers of a program could not use their stack, which lies in user pages.
  const features = BigInt(random.word() & (mode === 'user' ? 0x90 : 0x300090)) | 0x600n
  registers.set('cr4', features | (long || mode === 'pae' ? 0x20n : 0n))
  registers.set('cr3', 0x1000n)
  registers.set('cr0', (paging ? 0x8000_0011n : mode === 'real' ? 0x10n : 0x11n) | BigInt(random.word() & 0x10000))
  const ring = mode === 'user' ? 0x60 : 0
  const data = { ...FLAT, selector: 16 | (ring >> 5), rights: 0xc093 | ring }
  if (mode !== 'real') {
    registers.setSegment('cs', { ...FLAT, selector: 8 | (ring >> 5), rights: CODE_RIGHTS[mode] })
    for (const name of ['ss', 'ds', 'es', 'fs', 'gs'] as const) registers.setSegment(name, data)
  } else registers.setSegment('cs', { selector: 0, base: 0n, limit: 0xffff, rights: 0x9b })
  const handlers = random.chance(0.7)
  registers.setTable('gdtr', { base: BigInt(handlers ? GDT : random.below(RAM)), limit: random.below(0x1000) | 0xff })
  registers.setTable('idtr', { base: BigInt(handlers ? IDT : random.below(RAM)), limit: random.below(0x1000) | 0x3ff })
  registers.setSegment('tr', { selector: 32, base: BigInt(TSS), limit: 0x67, rights: 0x8b })
  if (handlers && mode !== 'real') installHandlers(guest, mode)
  for (const name of 'rax rcx rdx rbx rsp rbp rsi rdi r8 r9 r10 r11 r12 r13 r14 r15'.split(' '))
    registers.set(name, random.chance(0.7) ? BigInt(random.below(RAM)) : random.operand())
  if (random.chance(0.9)) registers.set('rsp', BigInt(0x10000 + random.below(RAM - 0x11000)))
  registers.set('rflags', BigInt((random.word() & 0x47fd5) | 2))
  registers.set('rip', BigInt(random.below(mode === 'real' ? 0x10000 : RAM)))
  for (const name of ['dr0', 'dr1', 'dr2', 'dr3']) registers.set(name, BigInt(random.below(RAM)))
  if (random.chance(0.2)) registers.set('dr7', BigInt(random.word()))
}

/** Does for an exit what a hypervisor may; false when the guest can't go on as it is. */
function answer(random: Random, vcpu: Vcpu, exit: Exit): boolean {
  switch (exit.reason) {
    case 'io':
      if (!exit.write) vcpu.completeIn(random.word() >>> (32 - exit.size * 8))
      return true
    case 'ept-violation':
      if (exit.access === undefined) return false
      vcpu.completeAccess(BigInt.asUintN(exit.access.size * 8, random.word64()))
      return true
    case 'cpuid':
      vcpu.completeCpuid({ eax: random.word(), ebx: 0, ecx: 0, edx: 0 })
      return true
    case 'rdmsr':
      vcpu.completeRdmsr(random.chance(0.5) ? random.word64() : undefined)
      return true
    case 'wrmsr':
      vcpu.completeWrmsr(random.chance(0.5))
      return true
    case 'hlt':
      vcpu.acceptInterrupt({ mode: 'nmi', vector: 2, destination: 0, logical: false, level: false })
      return random.chance(0.5)
    case 'interrupt-window':
      if (vcpu.interruptible) vcpu.injectInterrupt(random.below(256))
      return true
    case 'triple-fault':
    case 'ept-misconfiguration':
      return false
    default:
      return true
  }
}

interface End {
  readonly digest: string
  readonly count: number
  readonly reasons: Readonly<Record<string, number>>
}

function runNoise(seed: number, guest: Guest): End {
  const random = new Random(seed)
  const mode = MODES[seed % MODES.length]
  fill(guest, random, mode)
  // A guest that never invalidates finds stale translations as long as the TLB keeps them, and what else was run on the
  // processor decides how long: both runs begin with none.
  guest.host.processor.addressSpaces.dropAll()
  guest.clock.count = 0
  const hash = createHash('sha256')
  const reasons: Record<string, number> = {}
  for (const vcpu of guest.vcpus) enter(guest, random, mode, vcpu)
  for (let runs = 0; runs < RUNS && guest.clock.count < INSTRUCTIONS; runs++) {
    const vcpu = guest.vcpus[runs & 1]
    if (random.chance(0.05)) vcpu.requestInterruptWindow(random.chance(0.8))
    const exit = guest.run(1 + random.below(500), vcpu)
    reasons[exit.reason] = (reasons[exit.reason] ?? 0) + 1
    hash.update(`${exit.reason} ${guest.clock.count} ${vcpu.registers.get('rip')}\n`)
    if (!answer(random, vcpu, exit) || random.chance(0.02)) enter(guest, random, mode, vcpu)
  }
  for (const vcpu of guest.vcpus) hash.update(JSON.stringify(registersOf(vcpu)))
  hash.update(guest.read(0, RAM))
  return { digest: hash.digest('hex'), count: guest.clock.count, reasons }
}

/** Everything in host memory from the first frame on, but for the guest's own frames. */
function othersDigest(): string {
  const hash = createHash('sha256')
  const own = new Set<number>()
  for (const { hpa, length } of guest.ept.ranges()) for (let at = 0; at < length; at += 4096) own.add(hpa + at)
  for (let frame = FRAMES_BASE; frame < host.memory.size; frame += 4096)
    if (!own.has(frame)) hash.update(host.memory.u8.subarray(frame, frame + 4096))
  return hash.digest('hex')
}

describe('a guest of noise', () => {
  // Some of the other frames belong to another guest, whose memory is a pattern.
  const neighbour = new Guest(host, { bytes: 0x10000 })
  neighbour.write(0, new Uint8Array(0x10000).fill(0xa5))
  afterAll(() => neighbour.release())

  it('has frames and EPT tables that are told from all others', () => {
    const before = othersDigest()
    guest.write32(0, 0x1234)
    expect(othersDigest()).toBe(before)
    neighbour.write32(0, 0x1234)
    expect(othersDigest()).not.toBe(before)
    guest.ept.setRights(0, EPT_RIGHTS)
  })

  it.each(MODES.map((mode, i) => [mode, i] as const))(
    'comes to the same end each time and in either tier, within its frames (%s)',
    (_mode, i) => {
      const others = othersDigest()
      for (let round = 0; round < 2; round++) {
        const seed = i + round * MODES.length
        const end = runNoise(seed, guest)
        expect(end.count, `seed ${seed}`).toBeGreaterThan(300)
        expect(runNoise(seed, compiled), `seed ${seed}, compiled`).toEqual(end)
        expect(othersDigest(), `seed ${seed}`).toBe(others)
      }
    },
  )
})
