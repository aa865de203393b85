/** The count of retired instructions is exact and the same however a run is cut: everything deterministic rests on it. */

import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { Guest, Host, registersOf, type SavedGuest, TIERS } from './guest/guest.ts'
import { CODE, DATA, enterLongMode, HOLE, PDPT, PML4, STACK } from './guest/long-mode.ts'
import { Random } from './guest/random.ts'
import { loadRandomProgram, TICKS } from './guest/random-program.ts'

const RAM = 0x40000

interface End {
  readonly count: number
  readonly registers: Record<string, string>
  readonly memory: Buffer
}

function endOf(of: Guest): End {
  return {
    count: of.clock.count,
    registers: registersOf(of.vcpu),
    memory: Buffer.from(of.read(0, RAM)),
  }
}

function expectSame(got: End, expected: End, message: string): void {
  expect(got.count, message).toBe(expected.count)
  expect(got.registers, message).toEqual(expected.registers)
  expect(got.memory.equals(expected.memory), `${message}: memory`).toBe(true)
}

/** Runs to HLT in pieces; `piece` says how long each is. Returns how often a breakpoint was reported. */
function runInPieces(of: Guest, piece: () => number): number {
  let breakpoints = 0
  for (let pieces = 0; pieces < 100_000; pieces++) {
    const before = of.clock.count
    const budget = piece()
    const exit = of.run(budget)
    expect(of.clock.count - before).toBeLessThanOrEqual(budget)
    if (exit.reason === 'hlt') return breakpoints
    if (exit.reason === 'budget') expect(of.clock.count - before).toBe(budget)
    else {
      expect(exit.reason).toBe('breakpoint')
      breakpoints++
    }
  }
  throw new Error('the program does not end')
}

const SEEDS = [1, 2, 3, 4, 5, 6, 7, 8]
const starts = new Map<number, SavedGuest>()
const ends = new Map<number, End>()

/** Where each program ends when the interpreter runs it in one piece: what every other run is compared with. */
beforeAll(() => {
  const guest = new Guest(new Host({ hotEntries: 0 }), { bytes: RAM })
  for (const seed of SEEDS) {
    loadRandomProgram(guest, new Random(seed))
    starts.set(seed, guest.save())
    runInPieces(guest, () => 1_000_000)
    ends.set(seed, endOf(guest))
  }
})

function begin(of: Guest, seed: number): End {
  const [saved, end] = [starts.get(seed), ends.get(seed)]
  if (saved === undefined || end === undefined) throw new Error(`no program ${seed}`)
  of.restore(saved)
  return end
}

describe.each(TIERS)('$tier code', ({ hotEntries }) => {
  const host = new Host({ hotEntries })
  const guest = new Guest(host, { bytes: RAM })
  const raw = new Guest(host, { bytes: RAM, exceptionBitmap: 0xffff_ffff })
  const start = (seed: number): End => begin(guest, seed)

  afterAll(() => {
    guest.release()
    raw.release()
  })
  afterEach(() => {
    host.processor.setCodeStops({ breakpoints: [] })
    host.processor.setWatchpoints([])
    guest.vcpu.observe(undefined)
  })

  describe('a random program with loops, calls, faults, strings and timer interrupts', () => {
    it('takes interrupts and faults at all', () => {
      for (const seed of SEEDS) {
        const end = start(seed)
        expect(end.count).toBeGreaterThan(200)
        runInPieces(guest, () => 1_000_000)
        expect(guest.read32(TICKS)).toBeGreaterThan(1)
      }
    })

    it.each(SEEDS)('ends alike when stepped one instruction at a time (%i)', seed => {
      const end = start(seed)
      runInPieces(guest, () => 1)
      expectSame(endOf(guest), end, 'one at a time')
    })

    it.each(SEEDS)('ends alike in pieces of any length (%i)', seed => {
      for (const length of [2, 3, 5, 7, 11, 16, 31, 64, 65, 127, 500]) {
        const end = start(seed)
        runInPieces(guest, () => length)
        expectSame(endOf(guest), end, `pieces of ${length}`)
      }
      const random = new Random(seed)
      const end = start(seed)
      runInPieces(guest, () => 1 + random.below(40))
      expectSame(endOf(guest), end, 'pieces of random length')
    })

    it('ends alike wherever it is cut once', () => {
      const seed = SEEDS[0]
      const { count } = start(seed)
      for (let cut = 1; cut < Math.min(count, 100); cut++) {
        const end = start(seed)
        guest.run(cut)
        expect(guest.clock.count).toBe(cut)
        runInPieces(guest, () => 1_000_000)
        expectSame(endOf(guest), end, `cut at ${cut}`)
      }
    })

    it.each(SEEDS)('ends alike with breakpoints anywhere (%i)', seed => {
      const random = new Random(seed + 100)
      const end = start(seed)
      const linear = new Set<bigint>()
      for (let i = 0; i < 40; i++) linear.add(BigInt(CODE + 0x100 + 16 * random.below(60)))
      // Between instructions and inside of them: a breakpoint there is never reached.
      for (let i = 0; i < 20; i++) linear.add(BigInt(CODE + 0x100 + random.below(800)))
      host.processor.setCodeStops({ breakpoints: [...linear].map(address => ({ space: 'linear', address })) })
      expect(runInPieces(guest, () => 1_000_000)).toBeGreaterThan(5)
      expectSame(endOf(guest), end, 'breakpoints')
      start(seed)
      runInPieces(guest, () => 1 + random.below(10))
      expectSame(endOf(guest), end, 'breakpoints, in pieces')
    })

    it.each(SEEDS)('ends alike with watchpoints anywhere, and an observer of everything (%i)', seed => {
      const random = new Random(seed + 200)
      let asked = 0
      const met = () => ++asked % 7 === 0
      const watch = (space: 'linear' | 'host', address: number, length: number, kinds: number) => ({
        ...{ space, address: BigInt(address), length, met },
        ...{ reads: (kinds & 1) !== 0, writes: (kinds & 2) !== 0 },
      })
      const watchpoints = [
        watch('linear', STACK - 0x200, 0x200, 3),
        watch('linear', PML4, 0x4000, 3),
        watch('host', guest.hpa(DATA), 4096, 2),
      ]
      for (let i = 0; i < 6; i++) watchpoints.push(watch('linear', DATA + random.below(4000), 1 + random.below(40), 3))
      const everything = { interrupts: true, controlRegisters: true, msrs: true, transitions: true, returns: true }
      guest.vcpu.observe({ ...everything, exceptions: 0xffff_ffff, happened: met })
      for (const piece of [() => 1_000_000, () => 1 + random.below(10)]) {
        const end = start(seed)
        host.processor.setWatchpoints(watchpoints)
        expect(runInPieces(guest, piece)).toBeGreaterThan(0)
        expectSame(endOf(guest), end, 'watchpoints')
        host.processor.setWatchpoints([])
      }
    })

    it('ends alike when it is saved at any count and goes on in another processor', () => {
      const elsewhere = new Guest(new Host({ hotEntries }), { bytes: RAM })
      for (const seed of SEEDS.slice(0, 4)) {
        const { count } = start(seed)
        for (let cut = 1; cut < count; cut += 61) {
          const end = start(seed)
          guest.run(cut)
          const { memory, ...rest } = guest.save()
          elsewhere.restore({ memory, ...JSON.parse(JSON.stringify(rest)) })
          runInPieces(elsewhere, () => 1_000_000)
          expectSame(endOf(elsewhere), end, `saved at ${cut}`)
        }
      }
    })
  })

  describe('the count', () => {
    function load(code: readonly number[]): void {
      enterLongMode(raw)
      raw.write(CODE, code)
      raw.clock.count = 0
    }

    it('has one for each iteration of a repeated string instruction, and one for none at all', () => {
      for (const [elements, counted] of [
        [0, 1],
        [1, 1],
        [2, 2],
        [1000, 1000],
      ]) {
        load([0xf3, 0xaa, 0xf4]) // rep stosb; hlt
        raw.setRegisters({ rcx: elements, rdi: DATA })
        expect(raw.run(100_000).reason).toBe('hlt')
        expect(raw.clock.count).toBe(counted + 1)
      }
    })

    it('is exact in the middle of a repeated instruction', () => {
      load([0xf3, 0x48, 0xa5, 0xf4]) // rep movsq; hlt
      raw.setRegisters({ rcx: 600, rsi: DATA, rdi: 0x30000 })
      for (let done = 0; done < 600; done += 50) {
        expect(raw.register('rcx')).toBe(BigInt(600 - done))
        expect(raw.register('rdi')).toBe(BigInt(0x30000 + done * 8))
        expect(raw.run(50).reason).toBe('budget')
      }
      expect(raw.register('rip')).toBe(BigInt(CODE + 3))
    })

    it('leaves RIP whole in the middle of a repeated instruction with 32-bit addresses', () => {
      const high = 0xffff_ff80_0000_0000n
      load([0x67, 0xf3, 0xaa, 0xf4]) // a32 rep stosb; hlt
      raw.write64(PML4 + 511 * 8, BigInt(PDPT) | 3n)
      raw.setRegisters({ rcx: 10, rdi: DATA, rip: high + BigInt(CODE) })
      expect(raw.run(5).reason).toBe('budget')
      expect(raw.register('rip')).toBe(high + BigInt(CODE))
      expect(raw.run(100).reason).toBe('hlt')
      expect(raw.clock.count).toBe(11)
    })

    it('has the iterations before a fault, whose registers say where it happened', () => {
      load([0xf3, 0xaa, 0xf4])
      raw.setRegisters({ rcx: 100, rdi: HOLE - 40 })
      expect(raw.run(1000)).toMatchObject({ reason: 'exception', vector: 14, address: BigInt(HOLE) })
      expect(raw.clock.count).toBe(40)
      expect(raw.register('rcx')).toBe(60n)
      expect(raw.register('rip')).toBe(BigInt(CODE))
    })

    it('does not have an instruction that faults', () => {
      load([0x90, 0x90, 0x8b, 0x07, 0x90]) // nop; nop; mov eax, [rdi]
      raw.setRegisters({ rdi: HOLE })
      expect(raw.run(100)).toMatchObject({ reason: 'exception', vector: 14 })
      expect(raw.clock.count).toBe(2)
    })

    // SDM vol. 3, table 6-2: what happens at a count, such as a timer's interrupt, comes before a fault of the fetch.
    it('is used up before the next instruction is fetched, however the budget is cut', () => {
      for (const pieces of [[3], [2, 1], [1, 2], [1, 1, 1]]) {
        load([0x90, 0x90, 0xff, 0xe7]) // nop; nop; jmp rdi
        raw.setRegisters({ rdi: HOLE })
        for (const piece of pieces) expect(raw.run(piece), String(pieces)).toEqual({ reason: 'budget' })
        expect(raw.register('rip')).toBe(BigInt(HOLE))
        expect(raw.run(1)).toMatchObject({ reason: 'exception', vector: 14, address: BigInt(HOLE) })
        expect(raw.clock.count).toBe(3)
      }
    })

    it('is what RDTSC reads, in the middle of a block too', () => {
      for (let before = 0; before < 20; before++) {
        const nops = Array.from({ length: before }, () => 0x90)
        load([...nops, 0x0f, 0x31, 0x90, 0x90, 0x48, 0x89, 0xc6, 0x0f, 0x31, 0xf4]) // rdtsc; 2 nop; mov rsi, rax; rdtsc
        raw.run(1000)
        expect(raw.register('rsi')).toBe(BigInt(before))
        expect(raw.register('rax')).toBe(BigInt(before + 4))
      }
    })

    it('is exact when a timer fires, whatever the block', () => {
      load([0xff, 0xc0, 0xff, 0xc3, 0xff, 0xc1, 0xeb, 0xf8]) // inc eax; inc ebx; inc ecx; jmp
      const fired: number[] = []
      const timer = raw.clock.timer('test', () => fired.push(raw.clock.count))
      const times = [1, 8, 15, 33, 400, 411, 1003]
      for (const at of times) {
        timer.arm(at)
        raw.run(at + 5 - raw.clock.count)
      }
      expect(fired).toEqual(times)
    })

    it('does not depend on how a loop is entered', () => {
      load([0xff, 0xc0, 0xeb, 0xfc]) // inc eax; jmp
      raw.run(1_000_001)
      expect(raw.register('rax')).toBe(500_001n)
      expect(raw.register('rip')).toBe(BigInt(CODE + 2))
    })
  })
})
