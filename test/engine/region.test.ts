/**
 * Regions, blocks of a page that are compiled into one function: at every boundary inside of one, a guest finds what
 * the interpreter would have left.
 */

import { afterAll, describe, expect, it } from 'vitest'
import { assemble, hasNasm, nasmNote } from './guest/assemble.ts'
import { Guest, Host, registersOf, TIERS } from './guest/guest.ts'
import { CODE, DATA, enterLongMode, HOLE, PAGE_TABLE, STACK } from './guest/long-mode.ts'

const RAM = 2 ** 20
const [interpreting, compiling] = TIERS.map(({ hotEntries }) => machine(new Host({ hotEntries })))
afterAll(() => {
  for (const { guest } of [interpreting, compiling]) guest.release()
})

interface Machine {
  readonly host: Host
  readonly guest: Guest
}

function machine(host: Host): Machine {
  return { host, guest: new Guest(host, { bytes: RAM, exceptionBitmap: 0xffff_ffff }) }
}

/** Assembles code that begins at `at` in 64-bit mode. */
function code(source: string, at = CODE): Uint8Array {
  return assemble(`bits 64\norg 0x${at.toString(16)}\n${source}`)
}

type Start = Readonly<Record<string, number | bigint>>

/** A fresh start of the program that is in place; what was compiled of it stays. */
function restart({ guest }: Machine, start: Start): void {
  enterLongMode(guest)
  guest.write(DATA, new Uint8Array(0x1000))
  guest.write(STACK - 0x1000, new Uint8Array(0x1000))
  guest.setRegisters(start)
  guest.clock.count = 0
}

function load(each: Machine, program: Uint8Array, start: Start): void {
  each.guest.write(CODE, program)
  restart(each, start)
}

/** Runs in pieces, and what there is to see at the end of each of them, the last one ending with another exit. */
function trace({ guest }: Machine, piece: (index: number) => number): unknown[] {
  const seen: unknown[] = []
  for (let i = 0; i < 20_000; i++) {
    const exit = guest.run(piece(i))
    const memory = [DATA, STACK - 0x1000].map(at => Buffer.from(guest.read(at, 0x1000)).toString('latin1'))
    seen.push({ count: guest.clock.count, exit, registers: registersOf(guest.vcpu), memory })
    if (exit.reason !== 'budget') return seen
  }
  throw new Error('the program does not end')
}

/** Both tiers show the same after every piece, whatever the pieces: while code is compiled, and when it is. */
function expectSame(program: Uint8Array, start: Start = {}, pieces: readonly number[] = [100_000, 23, 10, 7]): void {
  for (const length of pieces) {
    const traces = [interpreting, compiling].map(each => {
      load(each, program, start)
      const first = trace(each, () => length)
      restart(each, start)
      return [first, trace(each, () => length)]
    })
    expect(traces[1], `pieces of ${length}`).toEqual(traces[0])
  }
}

const regions = (): number => compiling.host.processor.compiler.compiled

describe.skipIf(!hasNasm)(`a region${nasmNote}`, () => {
  /** Blocks of 2, 3, 1 and 4 instructions in a loop, with a branch that goes both ways. */
  const BRANCHES = code(`
    again: inc rax
           test al, 3
           jz other
           lea rdx, [rdx + rax * 2]
           add ebx, edx
           jmp join
    other: xor dl, al
    join:  mov [${DATA}], rdx
           rol rbx, 3
           adc rsi, rbx
           dec ecx
           jnz again
           vmcall`)

  it('ends at the budget in any of its blocks, as the interpreter does', () => {
    const before = regions()
    const results = [interpreting, compiling].map(each => {
      load(each, BRANCHES, { rcx: 40 })
      each.guest.run(100_000)
      return Array.from({ length: 120 }, (_, cut) => {
        restart(each, { rcx: 40 })
        const first = each.guest.run(cut + 1)
        const middle = [each.guest.clock.count, first, registersOf(each.guest.vcpu)]
        const last = each.guest.run(100_000)
        return [middle, each.guest.clock.count, last, registersOf(each.guest.vcpu)]
      })
    })
    expect(results[1]).toEqual(results[0])
    expect(regions()).toBeGreaterThan(before)
  })

  it('ends at the budget in pieces of any length', () => {
    for (let length = 1; length < 30; length++) {
      const traces = [interpreting, compiling].map(each => {
        load(each, BRANCHES, { rcx: 30 })
        return trace(each, () => length)
      })
      expect(traces[1], `pieces of ${length}`).toEqual(traces[0])
    }
  })

  it('loops to itself until the budget ends, at each iteration', () => {
    const program = code(`
      again: add rax, rcx
             dec ecx
             jnz again
             vmcall`)
    const ends = [interpreting, compiling].map(each => {
      load(each, program, { rcx: 100 })
      each.guest.run(100_000)
      restart(each, { rcx: 100 })
      return trace(each, index => 3 * ((index % 4) + 1))
    })
    expect(ends[1]).toEqual(ends[0])
    expect(ends[1].length).toBeGreaterThan(10)
  })

  it('faults in its second block with the first one retired', () => {
    const program = code(`
      again: add rdi, 8
             inc rax
             cmp rax, 1000
             jae done
             lea rbx, [rbx + rax]
             add rdx, [rdi]
             sbb esi, edx
             jmp again
      done:  vmcall`)
    for (const at of [HOLE - 8 * 3, HOLE - 8 * 20, HOLE - 8 * 20 - 4]) expectSame(program, { rdi: at })
    expect(compiling.guest.register('rip')).toBe(BigInt(CODE + 0x13))
  })

  it('returns and jumps indirectly to its own blocks', () => {
    const program = code(`
             lea rsi, [rel table]
      again: call work
             mov edx, ecx
             and edx, 3
             mov rdx, [rsi + rdx * 8]
             jmp rdx
      one:   add rax, 1
             jmp next
      two:   add rax, 0x100
             jmp next
      three: call work
             add rax, 0x10000
      next:  dec ecx
             jnz again
             vmcall
      work:  push rbx
             lea rbx, [rbx + rcx]
             xor rax, rbx
             pop r8
             ret
      align 8
      table: dq one, two, three, next`)
    expectSame(program, { rcx: 200, rbx: 0x1234 })
  })

  it('calls itself, and returns into callers of several depths', () => {
    const program = code(`
             mov ecx, 9
             call fib
             vmcall
      fib:   cmp ecx, 2
             jb leaf
             push rcx
             dec ecx
             call fib
             mov rcx, [rsp]
             sub ecx, 2
             push rax
             call fib
             pop rdx
             add rax, rdx
             pop rcx
             ret
      leaf:  mov eax, ecx
             ret`)
    expectSame(program)
    expect(compiling.guest.register('rax')).toBe(34n)
  })

  it('takes conditions of a comparison whose operands have changed since', () => {
    const program = code(`
      again: mov edx, ecx
             and edx, 7
             cmp edx, 4
             mov edx, 9
             lea ebx, [rbx + 1]
             setb al
             movzx edx, al
             cmovge rsi, rbx
             jl low
             not rdi
      low:   test cl, 5
             mov cl, cl
             jnz odd
             inc r9
      odd:   dec ecx
             jnz again
             vmcall`)
    expectSame(program, { rcx: 100 })
  })

  it('has the flags of the instruction before one that faults', () => {
    const program = code(`
      again: add rdi, 8
             cmp rax, 1000
             jae done
             inc rax
             sub ebx, edx
             mov r8, r9
             mov r8, [rdi]
             add rdx, r8
             jmp again
      done:  vmcall`)
    for (const rbx of [0, 5, 0x8000_0000]) expectSame(program, { rdi: HOLE - 8 * 20, rbx, rdx: 5 }, [1000])
  })

  it('leaves a register alone that an instruction writes under a condition', () => {
    const program = code(`
      again: mov rbx, rcx
             and ebx, 6
             bsf rdx, rbx
             lea rsi, [rsi + rdx]
             mov rax, rcx
             cmpxchg rdi, rbx
             add rsi, rdi
             cmovz r8, rdx
             add rsi, r8
             dec ecx
             jnz again
             vmcall`)
    expectSame(program, { rcx: 50, rdx: 0x1234_5678_9abc })
  })

  it('writes parts of registers that it holds, and reads them whole', () => {
    const program = code(`
      again: mov rax, [${DATA}]
             mov ah, cl
             add al, ah
             mov bx, ax
             xchg bl, bh
             movsx edx, bh
             sub dh, dl
             rol dx, 5
             shl r8b, cl
             adc r8w, bx
             cmpxchg dl, dh
             setc r10b
             bswap ebx
             xadd cx, dx
             mov [${DATA}], rdx
             add rsi, rax
             add rsi, rbx
             add rsi, rdx
             dec edi
             jnz again
             vmcall`)
    expectSame(program, { rdi: 300, rcx: 0x1234_5678_9abc_def0n, r8: -3n & 0xffff_ffff_ffff_ffffn, r9: 77 })
  })

  it('keeps registers that instructions change behind it: division, CPUID, strings, x87', () => {
    const program = code(`
      again: mov eax, ecx
             mov edx, 1
             div rdi
             add rsi, rax
             add rsi, rdx
             mov eax, 0x80000000
             mov ebx, 5
             cpuid
             add rsi, rbx
             mov rax, rdi
             lea rdi, [${DATA}]
             stosq
             mov rdi, rax
             fninit
             fnstsw ax
             add rsi, rax
             inc r12d
             mov ecx, r12d
             cmp r12d, 60
             jnz again
             vmcall`)
    expectSame(program, { rdi: 0x1_0000_0003, rcx: 5, r12: 0 })
  })

  it('is left when its own page is rewritten while it runs', () => {
    const program = code(`
      again: add eax, 1
      patch: add ebx, 1
             test cl, 3
             jnz skip
             inc byte [again + 2]
      skip:  test cl, 7
             jnz next
             mov byte [patch + 2], cl
      next:  dec ecx
             jnz again
             vmcall`)
    expectSame(program, { rcx: 100 })
  })

  it('goes on with the interpreter when there is no room for another', () => {
    const small = machine(new Host({ hotEntries: 2, compiledRegions: 1 }))
    load(small, BRANCHES, { rcx: 40 })
    small.guest.run(100_000)
    const [calls, expected] = [small, interpreting].map(each => {
      load(
        each,
        code(`
        again: call work
               dec ecx
               jnz again
               vmcall
        work:  mov edx, ecx
               and edx, 1
               jz even
               inc rax
        even:  ret`),
        { rcx: 50 },
      )
      return trace(each, () => 100)
    })
    expect(calls).toEqual(expected)
    expect(small.host.processor.compiler.compiled).toBe(1)
    small.guest.release()
  })
})

describe.skipIf(!hasNasm)(`a region outside 64-bit mode${nasmNote}`, () => {
  const DATA_BASE = 0x1_0000

  /** Protected mode without paging; the data segments begin at {@link DATA_BASE} and end at 64 KiB when not flat. */
  function enterProtectedMode({ guest }: Machine, bits: 16 | 32, flat: boolean): void {
    guest.vcpu.reset()
    const { registers } = guest.vcpu
    registers.set('cr0', 0x11n)
    registers.setSegment('cs', { selector: 8, base: 0n, limit: 0xffff_ffff, rights: bits === 32 ? 0xc09b : 0x809b })
    const data = flat ? { base: 0n, limit: 0xffff_ffff } : { base: BigInt(DATA_BASE), limit: 0xf_ffff }
    for (const name of ['ss', 'ds', 'es', 'fs', 'gs'] as const)
      registers.setSegment(name, { selector: 16, ...data, rights: bits === 32 ? 0xc093 : 0x93 })
    const offset = flat ? 0 : DATA_BASE
    guest.setRegisters({ rip: CODE16, rsp: 0x9000, rbp: 0x8ff0, rsi: DATA - offset, rcx: 60, rflags: 2 })
    guest.clock.count = 0
  }
  const CODE16 = 0x4000

  const source = (bits: 16 | 32) => `
    bits ${bits}
    org ${CODE16}
    again: push ecx
           call work
           pop edx
           lea ebx, [ebx + edx * 2 + 3]
           mov bp, sp
           push bp
           enter 8, 0
           mov [bp - 4], bl
           leave
           pop di
           add al, [si]
           rep stosb
           mov cx, dx
           loop again
           vmcall
    work:  xchg ax, [si]
           inc word [si]
           mov edi, esi
           mov cx, 3
           test dl, 1
           jz even
           ret
    even:  mov cx, 5
           ret`

  it.each([
    [16, true],
    [16, false],
    [32, true],
    [32, false],
  ] as const)('does what the interpreter does (%i bits, flat data: %s)', (bits, flat) => {
    const program = assemble(source(bits))
    const before = regions()
    for (const length of [10_000, 11, 3]) {
      const traces = [interpreting, compiling].map(each => {
        load(each, program, {})
        each.guest.write(CODE16, program)
        enterProtectedMode(each, bits, flat)
        const first = trace(each, () => length)
        enterProtectedMode(each, bits, flat)
        return [first, trace(each, () => length)]
      })
      expect(traces[1], `pieces of ${length}`).toEqual(traces[0])
      expect(traces[0][0].at(-1)).toMatchObject({ exit: { reason: 'vmcall' } })
    }
    expect(regions()).toBeGreaterThan(before)
  })
})

describe.skipIf(!hasNasm)(`one frame in two address spaces${nasmNote}`, () => {
  const ALIAS = CODE + 0x40000
  const OTHER_PML4 = 0x80000

  /** A second set of tables, in which the page of the code is at {@link ALIAS} and its data page is another one. */
  function prepare(each: Machine, program: Uint8Array): void {
    const { guest } = each
    load(each, program, {})
    const tables = [OTHER_PML4, OTHER_PML4 + 0x1000, OTHER_PML4 + 0x2000, OTHER_PML4 + 0x3000]
    for (let i = 0; i < 3; i++) guest.write64(tables[i], BigInt(tables[i + 1]) | 3n)
    guest.write(tables[3], guest.read(PAGE_TABLE, 4096))
    guest.write64(tables[3] + (ALIAS >>> 12) * 8, BigInt(CODE) | 3n)
    guest.write64(tables[3] + ((ALIAS + 0x1000) >>> 12) * 8, BigInt(DATA) | 3n)
    guest.write64(tables[3] + (CODE >>> 12) * 8, 0n)
    guest.write(CODE + 0x1000, new Uint8Array(0x1000))
  }

  it('runs at either linear address: RIP-relative operands, return addresses and targets are its own', () => {
    const program = code(`
      again: call work
             inc dword [rel again + 0x1000]
             lea rdx, [rel again]
             xor rax, rdx
             dec ecx
             jnz again
             vmcall
      work:  add rbx, [rsp]
             lea rsi, [rel join]
             jmp rsi
             nop
      join:  ret`)
    const ends = [interpreting, compiling].map(each => {
      const { guest } = each
      prepare(each, program)
      const seen: unknown[] = []
      for (let turn = 0; turn < 6; turn++) {
        const [cr3, rip] = turn % 2 === 0 ? [0x1000, CODE] : [OTHER_PML4, ALIAS]
        guest.setRegisters({ cr3, rip, rcx: 20, rax: 0, rbx: 0, rsp: STACK })
        while (guest.run(13).reason === 'budget') seen.push(registersOf(guest.vcpu))
        seen.push(registersOf(guest.vcpu), guest.read32(CODE + 0x1000), guest.read32(DATA))
        expect(guest.register('rbx')).toBe(20n * BigInt(rip + 5))
      }
      return seen
    })
    expect(ends[1]).toEqual(ends[0])
    expect(compiling.guest.read32(CODE + 0x1000)).toBe(60)
    expect(compiling.guest.read32(DATA)).toBe(60)
  })
})
