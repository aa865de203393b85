/**
 * Guests that are noise: random code, page tables and descriptors, from a seed. What they do is exits or exceptions of
 * their own; this answers the exits as a hypervisor may, and digests everything that must be the same in every run.
 */

import { createHash } from 'node:crypto'
import { parseCpuModel } from '../../src/engine/cpu-model.ts'
import { EPT_EXECUTE, EPT_READ, EPT_WRITE } from '../../src/engine/mmu/ept-walk.ts'
import type { Exit, Vcpu } from '../../src/engine/processor.ts'
import * as S from '../../src/engine/state.ts'
import { EPT_RIGHTS } from '../../src/vmm/ept.ts'
import { Guest, Host } from '../engine/guest/guest.ts'
import { Random } from '../engine/guest/random.ts'
import { fillWithBytes, fillWithCode } from './code.ts'
import { type Entry, enter } from './enter.ts'
import { FrameGuard } from './frame-guard.ts'
import { MODES, pickRing } from './modes.ts'
import { RAM } from './operands.ts'
import { fillWithDescriptors, fillWithEntries, installHandlers, mapRam } from './tables.ts'

const PAGE = 4096

export interface Noise {
  readonly seed: number
  /** Instructions at most; runs are bounded too, since most exits come after a few instructions. */
  readonly instructions: number
}

/** How a guest of noise ended. Equal for equal noise on an equal model, whatever executes it. */
export interface End {
  /** Of every exit with its count and RIP, of each vCPU's whole state, and of RAM. */
  readonly digests: Readonly<Record<'exits' | 'vcpu0' | 'vcpu1' | 'ram', string>>
  readonly instructions: number
  readonly exits: Readonly<Record<string, number>>
  /** Modes by name as the exits found them, rings included. */
  readonly modes: Readonly<Record<string, number>>
}

/** A machine for one guest of noise after another. */
export class NoiseMachine {
  readonly guest: Guest
  readonly #guard: FrameGuard
  readonly #model

  constructor(options: { readonly model: string; readonly hotEntries: number }) {
    this.#model = parseCpuModel(options.model)
    const host = new Host({ model: this.#model, hotEntries: options.hotEntries })
    // Frames on either side belong to others, whose memory is a pattern.
    neighbour(host)
    this.guest = new Guest(host, { bytes: RAM, cpus: 2 })
    neighbour(host)
    this.#guard = new FrameGuard(this.guest)
  }

  /**
   * Runs one. Throws when a frame that is not the guest's has changed.
   * @param trace told of every exit, for looking at where two runs part
   */
  run(noise: Noise, trace: (line: string) => void = () => {}): End {
    const { guest } = this
    const random = new Random(noise.seed)
    const entry = fill(guest, random, noise.seed)
    // A guest that never invalidates finds stale translations as long as the TLB keeps them, and what else was run on
    // the processor decides how long: every run begins with none.
    guest.host.processor.invept(guest.ept.root)
    guest.clock.count = 0
    const trail = createHash('sha256')
    const exits: Record<string, number> = {}
    const modes: Record<string, number> = {}
    for (const vcpu of guest.vcpus) enter(vcpu, random, this.#model, entry)
    const runs = noise.instructions / 50
    for (let i = 0; i < runs && guest.clock.count < noise.instructions; i++) {
      const vcpu = guest.vcpus[random.below(4) === 0 ? 1 : 0]
      if (random.chance(0.05)) vcpu.requestInterruptWindow(random.chance(0.8))
      if (random.chance(0.02)) takeRights(guest, random)
      const exit = guest.run(1 + random.below(500), vcpu)
      exits[exit.reason] = (exits[exit.reason] ?? 0) + 1
      const mode = modeOf(vcpu)
      modes[mode] = (modes[mode] ?? 0) + 1
      const line = `${exit.reason} ${guest.clock.count} ${vcpu.index} ${mode} ${vcpu.registers.get('rip').toString(16)}`
      trail.update(line)
      trace(line)
      if (!answer(guest, random, vcpu, exit) || random.chance(0.005)) enter(vcpu, random, this.#model, entry)
    }
    const [vcpu0, vcpu1] = guest.vcpus.map(stateDigest)
    const ram = createHash('sha256').update(guest.read(0, RAM)).digest('hex')
    giveRights(guest)
    this.checkFrames()
    const digests = { exits: trail.digest('hex'), vcpu0, vcpu1, ram }
    return { digests, instructions: guest.clock.count, exits, modes }
  }

  /** Throws when a frame that is not the guest's has changed. */
  checkFrames(): void {
    this.#guard.check()
  }
}

/** Parts of the state that are the engine's own, not the guest's: address and bytes. */
const SCRATCH: readonly (readonly [number, number])[] = [
  [S.BLOCK_RIP, 8],
  [S.ASID, 8],
  [S.FETCH_CONTEXT, 4],
  [S.BUDGET, 4],
  [S.TSC_LIMIT, 8],
  [S.LINK_SLOT, 4],
  [S.ACCESS_VALUE, 32],
  [S.ACCESS_BUFFER, 64],
  ...[S.SSE_A, S.SSE_B, S.SSE_C, S.SSE_RESULT].map(at => [at, 16] as const),
]

function stateDigest(vcpu: Vcpu): string {
  const { state, ...rest } = vcpu.save()
  const bytes = Buffer.from(state, 'base64')
  for (const [at, length] of SCRATCH) bytes.fill(0, at - S.STATE_BASE, at - S.STATE_BASE + length)
  return createHash('sha256').update(bytes).update(JSON.stringify(rest)).digest('hex')
}

function neighbour(host: Host): void {
  new Guest(host, { bytes: 16 * PAGE }).write(0, new Uint8Array(16 * PAGE).fill(0xa5))
}

function fill(guest: Guest, random: Random, seed: number): Entry {
  const mode = MODES[seed % MODES.length]
  const ring = pickRing(random, mode)
  const ram = new Uint8Array(RAM)
  const view = new DataView(ram.buffer)
  for (let at = 0; at < RAM; at += PAGE) {
    const page = new DataView(ram.buffer, at, PAGE)
    const kind = random.below(10)
    if (kind < 6) fillWithCode(ram.subarray(at, at + PAGE), random, mode.bits)
    else if (kind < 7) fillWithEntries(page, random, mode.levels === 2 ? 4 : 8)
    else if (kind < 8) fillWithDescriptors(page, random)
    else fillWithBytes(ram.subarray(at, at + PAGE), random)
  }
  const handlers = random.chance(0.9)
  fillWithDescriptors(new DataView(ram.buffer, 0x6000, PAGE), random)
  if (handlers) installHandlers(view, random, mode, ring)
  if (mode.levels > 0) mapRam(view, random, mode, ring === 3 || random.chance(0.1))
  guest.write(0, ram)
  giveRights(guest)
  return { mode, ring, handlers }
}

function giveRights(guest: Guest): void {
  for (let gpa = 0; gpa < RAM; gpa += PAGE) guest.ept.setRights(gpa, EPT_RIGHTS)
}

/** Takes rights of a page away, as a hypervisor does to learn of an access. */
function takeRights(guest: Guest, random: Random): void {
  const rights = random.pick([EPT_READ | EPT_EXECUTE, EPT_READ | EPT_WRITE, EPT_READ, EPT_EXECUTE, 0])
  guest.ept.setRights(random.below(RAM / PAGE) * PAGE, rights)
}

/** Does for an exit what a hypervisor may; false when the guest can't go on as it is. */
function answer(guest: Guest, random: Random, vcpu: Vcpu, exit: Exit): boolean {
  switch (exit.reason) {
    case 'io':
      if (!exit.write) vcpu.completeIn(random.word() >>> (32 - exit.size * 8))
      return true
    case 'ept-violation':
      if (exit.gpa < RAM) return guest.ept.setRights(exit.gpa & -PAGE, EPT_RIGHTS)
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

const CR0_PE = 1n
const CR0_PG = 1n << 31n
const EFER_LMA = 1n << 10n
const CR4_PAE = 1n << 5n
const CR4_LA57 = 1n << 12n
const RFLAGS_VM = 1n << 17n

/** Such as `64-bit ring 3` or `virtual-8086, 32-bit paging`. */
function modeOf({ registers }: Vcpu): string {
  const cr0 = registers.get('cr0')
  if ((cr0 & CR0_PE) === 0n) return registers.segment('ds').limit > 0xffff ? 'unreal' : 'real'
  const cr4 = registers.get('cr4')
  const long = (registers.get('efer') & EFER_LMA) !== 0n
  const paging =
    (cr0 & CR0_PG) === 0n
      ? 'no paging'
      : long
        ? `${(cr4 & CR4_LA57) === 0n ? 4 : 5}-level paging`
        : (cr4 & CR4_PAE) === 0n
          ? '32-bit paging'
          : 'PAE'
  if ((registers.get('rflags') & RFLAGS_VM) !== 0n) return `virtual-8086, ${paging}`
  const { rights } = registers.segment('cs')
  const size = long && (rights & (1 << 13)) !== 0 ? '64-bit' : (rights & (1 << 14)) !== 0 ? '32-bit' : '16-bit'
  return `${size} ring ${registers.cpl}, ${paging}`
}
