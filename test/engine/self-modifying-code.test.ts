/**
 * Code that changes: what runs is what memory holds at that moment, whoever wrote it and through whichever address
 * (SDM vol. 3, 8.1.3 asks for less; a processor may always be as exact as this one).
 */

import { afterAll, beforeEach, describe, expect, it } from 'vitest'
import { Guest, Host, TIERS } from './guest/guest.ts'
import { CODE, DATA, enterLongMode, PAGE_TABLE, VMCALL } from './guest/long-mode.ts'

const word = (value: number): number[] => [0, 8, 16, 24].map(shift => (value >> shift) & 0xff)
/** mov byte [abs target], value */
const storeByte = (target: number, value: number): number[] => [0xc6, 0x04, 0x25, ...word(target), value]
/** mov eax, value */
const setEax = (value: number): number[] => [0xb8, ...word(value)]
const INVLPG_RDI = [0x0f, 0x01, 0x3f]

describe.each(TIERS)('$tier', ({ hotEntries }) => {
  const host = new Host({ hotEntries })
  const guest = new Guest(host)
  afterAll(() => guest.release())
  beforeEach(() => enterLongMode(guest))

  /** Runs from `rip` to VMCALL and returns EAX. */
  function run(rip = CODE): number {
    guest.setRegisters({ rip })
    expect(guest.run(10_000)).toEqual({ reason: 'vmcall' })
    return Number(guest.register('rax'))
  }

  /** Runs alternately whole and in pieces: the block that changes is then cut differently. */
  function inEveryCut(prepare: () => void, check: (result: number) => void): void {
    for (const pieces of [10_000, 1, 2, 3]) {
      prepare()
      guest.setRegisters({ rip: CODE })
      for (;;) {
        const exit = guest.run(pieces)
        if (exit.reason === 'vmcall') break
        expect(exit).toEqual({ reason: 'budget' })
      }
      check(Number(guest.register('rax')))
    }
  }

  /** Maps a linear page to a guest-physical one. */
  function map(linear: number, gpa: number): void {
    guest.write64(PAGE_TABLE + (linear >>> 12) * 8, BigInt(gpa) | 3n)
  }

  describe('an instruction that writes to code', () => {
    it('changes the next instruction, in its own block', () => {
      const store = storeByte(0, 0)
      inEveryCut(
        () => guest.write(CODE, [...storeByte(CODE + store.length + 1, 7), ...setEax(1), ...VMCALL]),
        result => expect(result).toBe(7),
      )
    })

    it('changes an instruction further on in its own block', () => {
      const nops = [0x90, 0x90, 0x90]
      const target = CODE + storeByte(0, 0).length + nops.length + 1
      inEveryCut(
        () => guest.write(CODE, [...storeByte(target, 9), ...nops, ...setEax(1), ...VMCALL]),
        result => expect(result).toBe(9),
      )
    })

    it('changes itself: it completes as it was, and is another one the next time', () => {
      // 0: mov byte [CODE+7], 5 writes its own immediate; then the stored byte is read back.
      const code = [...storeByte(CODE + 7, 5), 0x0f, 0xb6, 0x04, 0x25, ...word(CODE + 7), ...VMCALL]
      inEveryCut(
        () => guest.write(CODE, code),
        result => expect(result).toBe(5),
      )
    })

    it('changes a loop while it runs', () => {
      // 0: mov ecx, 20; 5: add eax, 1; 8: mov byte [CODE+7], 3; 16: dec ecx; 18: jnz 5
      const code = [0xb9, ...word(20), 0x83, 0xc0, 0x01, ...storeByte(CODE + 7, 3), 0xff, 0xc9, 0x75, 0xf1, ...VMCALL]
      inEveryCut(
        () => {
          guest.write(CODE, code)
          guest.setRegisters({ rax: 0 })
        },
        result => expect(result).toBe(1 + 19 * 3),
      )
    })

    it('rewrites the loop in each of its iterations', () => {
      // 0: mov ecx, 50; 5: add eax, 1; 8: inc byte [CODE+7]; 15: dec ecx; 17: jnz 5
      const increment = [0xfe, 0x04, 0x25, ...word(CODE + 7)]
      const code = [0xb9, ...word(50), 0x83, 0xc0, 0x01, ...increment, 0xff, 0xc9, 0x75, 0xf2, ...VMCALL]
      inEveryCut(
        () => {
          guest.write(CODE, code)
          guest.setRegisters({ rax: 0 })
        },
        result => expect(result).toBe((50 * 51) / 2),
      )
    })

    it('changes code in another page that has run', () => {
      const other = CODE + 0x3000
      guest.write(other, [...setEax(1), 0xc3])
      guest.write(CODE, [
        ...[0xe8, ...word(other - CODE - 5)], // call other
        ...storeByte(other + 1, 77),
        ...[0xe8, ...word(other - CODE - 18)], // call other
        ...VMCALL,
      ])
      expect(run()).toBe(77)
    })

    it('changes code through another linear address', () => {
      map(DATA, CODE)
      const store = storeByte(0, 0)
      inEveryCut(
        () => guest.write(CODE, [...storeByte(DATA + store.length + 1, 42), ...setEax(1), ...VMCALL]),
        result => expect(result).toBe(42),
      )
    })

    it('changes code through a translation that the TLB held before the page became code', () => {
      const code = DATA + 0x1000
      guest.write(code, [...setEax(1), ...VMCALL])
      guest.write(CODE, [...storeByte(code + 0x800, 1), ...VMCALL])
      run()
      expect(run(code)).toBe(1)
      guest.write(CODE, [...storeByte(code + 1, 6), ...VMCALL])
      run()
      expect(run(code)).toBe(6)
    })

    it('may be a repeated one, a push, a wide one or one that crosses into the page', () => {
      const other = CODE + 0x3000
      const body = [...setEax(0x11), ...VMCALL]
      const stores: [string, number[], Record<string, number>, number][] = [
        ['rep stosb', [0xf3, 0xaa], { rax: 0x22, rdi: other + 1, rcx: 4 }, 0x2222_2222],
        ['push', [0x50], { rax: 0x90_0033, rsp: other + 8 }, 0],
        ['movups', [0x0f, 0x11, 0x07], { rdi: other }, 0],
        ['mov across', [0x89, 0x07], { rdi: other - 2, rax: 0x44b8_0000 }, 0x44],
      ]
      for (const [name, code, registers, expected] of stores) {
        guest.write(other, body)
        expect(run(other), name).toBe(0x11)
        guest.write(CODE, [...code, ...VMCALL])
        // What the wide stores write: mov eax, 0x55; vmcall again.
        const replacement = [...setEax(0x55), ...VMCALL, ...new Array<number>(8).fill(0x90)]
        const low = Buffer.from(replacement).readBigUInt64LE(0)
        const high = Buffer.from(replacement).readBigUInt64LE(8)
        guest.setRegisters({ ...registers, xmm0: (high << 64n) | low })
        if (name === 'push') guest.setRegisters({ rax: low })
        run()
        expect(run(other), name).toBe(expected === 0 ? 0x55 : expected)
      }
    })

    it('leaves decoded code alone when it writes data of the same page', () => {
      // mov byte [CODE+0x800], 1; loop
      guest.write(CODE, [...storeByte(CODE + 0x800, 1), 0xff, 0xc9, 0x75, 0xf4, ...VMCALL])
      guest.setRegisters({ rcx: 5 })
      run()
      const { blocksDecoded } = host.processor.statistics
      guest.setRegisters({ rcx: 1000 })
      run()
      expect(host.processor.statistics.blocksDecoded).toBe(blocksDecoded)
    })
  })

  describe('code in memory that something else changes', () => {
    it('is decoded anew after a device or debugger has written it', () => {
      guest.write(CODE, [...setEax(1), ...VMCALL])
      expect(run()).toBe(1)
      guest.write(CODE + 1, [2])
      expect(run()).toBe(2)
      guest.write(CODE, [...setEax(3), ...VMCALL])
      expect(run()).toBe(3)
    })

    it('is decoded anew after another processor has written it', () => {
      const two = new Guest(host, { cpus: 2 })
      const [first, second] = two.vcpus
      enterLongMode(two)
      second.restore({ ...second.save(), state: first.save().state })
      two.write(CODE, [...setEax(1), ...VMCALL])
      two.write(CODE + 0x100, [...storeByte(CODE + 1, 8), ...VMCALL])
      two.run(100, first)
      two.setRegisters({ rip: CODE + 0x100 }, second)
      two.run(100, second)
      two.setRegisters({ rip: CODE }, first)
      two.run(100, first)
      expect(two.register('rax', first)).toBe(8n)
      two.release()
    })

    it('is another page after INVLPG', () => {
      const [linear, other] = [CODE + 0x3000, CODE + 0x4000]
      guest.write(linear, [...setEax(1), 0xc3])
      guest.write(other, [...setEax(2), 0xc3])
      const call = [0xe8, ...word(linear - CODE - 5)]
      // call; mov [table entry], ebx; invlpg [rdi]; call
      const entry = PAGE_TABLE + (linear >>> 12) * 8
      const remap = [0x89, 0x1c, 0x25, ...word(entry)]
      const second = [0xe8, ...word(linear - CODE - 5 - 5 - remap.length - 3)]
      guest.write(CODE, [...call, ...remap, ...INVLPG_RDI, ...second, ...VMCALL])
      guest.setRegisters({ rbx: other | 3, rdi: linear })
      expect(run()).toBe(2)
    })
  })

  describe('an instruction that crosses into the next page', () => {
    const first = CODE + 0x3000
    const second = first + 0x1000
    const start = second - 2
    /** mov eax, imm32; vmcall: two bytes in the first page, the rest in the second. */
    const place = (value: number) => guest.write(start, [...setEax(value), ...VMCALL])

    it('runs from both pages, again and again without being decoded again', () => {
      place(0x1234_5678)
      expect(run(start)).toBe(0x1234_5678)
      const { blocksDecoded } = host.processor.statistics
      for (let i = 0; i < 20; i++) expect(run(start)).toBe(0x1234_5678)
      expect(host.processor.statistics.blocksDecoded).toBe(blocksDecoded)
    })

    it('changes when either of its pages is written', () => {
      place(1)
      expect(run(start)).toBe(1)
      guest.write(second, [2])
      expect(run(start)).toBe(0x201)
      guest.write(start + 1, [3])
      expect(run(start)).toBe(0x203)
    })

    it('changes when guest code writes to the second page, from the same block run too', () => {
      place(1)
      guest.write(CODE, [...storeByte(second + 1, 5), 0xe9, ...word(start - CODE - 13)])
      expect(run(start)).toBe(1)
      expect(run(CODE)).toBe(0x5_0001)
    })

    it('changes when its second page is another one', () => {
      const other = CODE + 0x6000
      place(1)
      guest.write(other, [2, 0, 0, ...VMCALL])
      expect(run(start)).toBe(1)
      map(second, other)
      guest.write(CODE, [...INVLPG_RDI, 0xe9, ...word(start - CODE - 8)])
      guest.setRegisters({ rdi: second })
      expect(run(CODE)).toBe(0x201)
      map(second, second)
      guest.setRegisters({ cr3: guest.register('cr3') })
      expect(run(start)).toBe(1)
    })

    it('faults on its second page with the address of that page, and goes on when it is there', () => {
      const strict = new Guest(host, { exceptionBitmap: 1 << 14 })
      enterLongMode(strict)
      strict.write(start, [...setEax(0x77), ...VMCALL])
      strict.write64(PAGE_TABLE + (second >>> 12) * 8, 0n)
      strict.setRegisters({ rip: start })
      expect(strict.run(10)).toMatchObject({ reason: 'exception', vector: 14, address: BigInt(second) })
      expect(strict.register('rip')).toBe(BigInt(start))
      strict.write64(PAGE_TABLE + (second >>> 12) * 8, BigInt(second) | 3n)
      expect(strict.run(10)).toEqual({ reason: 'vmcall' })
      strict.write64(PAGE_TABLE + (second >>> 12) * 8, 0n)
      strict.setRegisters({ cr3: strict.register('cr3'), rip: start })
      expect(strict.run(10)).toMatchObject({ reason: 'exception', vector: 14, address: BigInt(second) })
      strict.release()
    })

    it('is what each of two linear addresses says when they share the first frame alone', () => {
      const [alias, aliasNext] = [CODE + 0x7000, CODE + 0x8000]
      place(1)
      guest.write(aliasNext, [9, 0, 0, ...VMCALL])
      map(alias, first)
      for (let turn = 0; turn < 3; turn++) {
        expect(run(start)).toBe(1)
        expect(run(aliasNext - 2)).toBe(0x901)
      }
    })
  })
})
