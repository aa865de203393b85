/** A guest's way from reset through every mode and back, with interrupts and exceptions in each. */

import { afterAll, describe, expect, it } from 'vitest'
import { EPT_RIGHTS } from '../../src/vmm/ept.ts'
import { assemble, hasNasm, nasmNote } from './guest/assemble.ts'
import { Guest, Host } from './guest/guest.ts'

const host = new Host()
const guest = new Guest(host)
afterAll(() => guest.release())

const MARKS = 0xe9

const TOUR = `
%macro mark 1
    mov al, %1
    out ${MARKS}, al
%endmacro

    bits 16
    org 0x8000
    cli
    xor ax, ax
    mov ds, ax
    mov es, ax
    mov ss, ax
    mov sp, 0x7000
    mark 'r'
    mov word [0x30 * 4], real_interrupt
    mov word [0x30 * 4 + 2], 0
    mov word [0], real_divide
    mov word [2], 0
    int 0x30
    xor cx, cx
    div cx
    lgdt [gdtr]
    mov eax, cr0
    or al, 1
    mov cr0, eax
    jmp 0x28:protected16

protected16:
    mov ax, 0x30
    mov ds, ax
    mov es, ax
    mov ss, ax
    mark 'p'
    lidt [idtr32]
    int 0x30
    ud2
    jmp dword 0x08:protected32

    bits 32
protected32:
    mov ax, 0x10
    mov ds, ax
    mov es, ax
    mov ss, ax
    mov esp, 0x7000
    mark 'P'
    int 0x30
    ud2
    mov dword [0x20000], 0x21001
    mov dword [0x20004], 0
    mov dword [0x21000], 0x83
    mov dword [0x21004], 0
    mov eax, 0x20
    mov cr4, eax
    mov eax, 0x20000
    mov cr3, eax
    mov eax, cr0
    or eax, 0x80000000
    mov cr0, eax
    mark 'A'
    int 0x30
    ud2
    mov eax, cr0
    and eax, 0x7fffffff
    mov cr0, eax
    mov dword [0x22000], 0x23003
    mov dword [0x22004], 0
    mov dword [0x23000], 0x21003
    mov dword [0x23004], 0
    mov eax, 0x22000
    mov cr3, eax
    mov ecx, 0xc0000080
    rdmsr
    or eax, 0x100
    wrmsr
    mov eax, cr0
    or eax, 0x80000000
    mov cr0, eax
    mark 'c'
    lidt [idtr64]
    int 0x30
    ud2
    jmp 0x18:long_mode

    bits 64
long_mode:
    mark 'L'
    int 0x30
    ud2
    mov rax, 0xffff0000ffff0000
    push 0x08
    lea rax, [rel compatibility]
    push rax
    retfq

    bits 32
compatibility:
    mark 'C'
    int 0x30
    mov eax, cr0
    and eax, 0x7fffffff
    mov cr0, eax
    mov ecx, 0xc0000080
    rdmsr
    and eax, ~0x100
    wrmsr
    mark 'Q'
    lidt [idtr32]
    int 0x30
    jmp 0x28:leave_protected

    bits 16
leave_protected:
    mov ax, 0x30
    mov ds, ax
    mov es, ax
    mov ss, ax
    mov eax, cr0
    and al, 0xfe
    mov cr0, eax
    jmp 0:real_again
real_again:
    xor ax, ax
    mov ds, ax
    mov es, ax
    mov ss, ax
    lidt [idtr_real]
    mark 'R'
    int 0x30
    hlt

real_interrupt:
    mark 'i'
    iret
real_divide:
    mark 'd'
    push bp
    mov bp, sp
    add word [bp + 2], 2
    pop bp
    iret

    bits 32
interrupt32:
    mark 'i'
    iretd
undefined32:
    mark 'u'
    add dword [esp], 2
    iretd

    bits 64
interrupt64:
    mark 'i'
    iretq
undefined64:
    mark 'u'
    add qword [rsp], 2
    iretq

    align 16
gdt:
    dq 0
    dq 0x00cf9b000000ffff
    dq 0x00cf93000000ffff
    dq 0x00af9b000000ffff
    dq 0
    dq 0x00009b000000ffff
    dq 0x000093000000ffff
gdtr:
    dw $ - gdt - 1
    dd gdt
idtr_real:
    dw 0x3ff
    dd 0
idtr32:
    dw 0x31 * 8 - 1
    dd idt32
idtr64:
    dw 0x31 * 16 - 1
    dd idt64
    align 16
idt32:
    times 6 dq 0
    dw undefined32, 0x08, 0x8e00, 0
    times 0x30 - 7 dq 0
    dw interrupt32, 0x08, 0x8e00, 0
idt64:
    times 6 * 2 dq 0
    dw undefined64, 0x18, 0x8e00, 0, 0, 0, 0, 0
    times (0x30 - 7) * 2 dq 0
    dw interrupt64, 0x18, 0x8e00, 0, 0, 0, 0, 0
`

describe.skipIf(!hasNasm)(`a guest from reset${nasmNote}`, () => {
  /** Runs to HLT; the marks, and what each was made in. */
  function tour(piece: number): { marks: string; modes: Record<string, string> } {
    guest.vcpu.reset()
    guest.clock.count = 0
    guest.write(0x8000, assemble(TOUR))
    // The reset vector: jmp 0:0x8000
    if (guest.ept.translate(0xffff_f000) === undefined) guest.ept.map(0xffff_f000, guest.hpa(0xf_f000), EPT_RIGHTS)
    guest.write(0xf_fff0, [0xea, 0x00, 0x80, 0x00, 0x00])
    let marks = ''
    const modes: Record<string, string> = {}
    for (;;) {
      const exit = guest.run(piece)
      if (exit.reason === 'hlt') return { marks, modes }
      if (exit.reason === 'budget') continue
      if (exit.reason !== 'io') throw new Error(`unexpected ${exit.reason} after ${marks}`)
      expect(exit).toMatchObject({ port: MARKS, size: 1, write: true })
      const mark = String.fromCharCode(exit.value)
      const { rights } = guest.vcpu.registers.segment('cs')
      const code = rights & 0x2000 ? 64 : rights & 0x4000 ? 32 : 16
      const paging = (guest.register('cr0') >> 31n) & 1n ? 'paging' : 'flat'
      const long = (guest.register('efer') >> 10n) & 1n ? 'long' : 'legacy'
      marks += mark
      if (!'iud'.includes(mark)) modes[mark] = `${code} ${long} ${paging}`
    }
  }

  it('goes through every mode and back, taking interrupts and exceptions in each', () => {
    const { marks, modes } = tour(1_000_000)
    expect(marks).toBe('ridpiuPiuAiuciuLiuCiQiRi')
    expect(modes).toEqual({
      r: '16 legacy flat',
      p: '16 legacy flat',
      P: '32 legacy flat',
      A: '32 legacy paging',
      c: '32 long paging',
      L: '64 long paging',
      C: '32 long paging',
      Q: '32 legacy flat',
      R: '16 legacy flat',
    })
  })

  it('does so in pieces of any length, with the same count', () => {
    tour(1_000_000)
    const { count } = guest.clock
    for (const piece of [1, 3, 10]) {
      expect(tour(piece).marks).toBe('ridpiuPiuAiuciuLiuCiQiRi')
      expect(guest.clock.count).toBe(count)
    }
  })
})

describe('a processor after reset', () => {
  it('fetches at 4 GiB - 16 in real mode', () => {
    const fresh = new Guest(host)
    fresh.vcpu.reset()
    expect(fresh.run(1)).toMatchObject({ reason: 'ept-violation', gpa: 0xffff_fff0, linear: 0xffff_fff0n })
    fresh.release()
  })

  it('wraps addresses of real mode at the segment limit by a fault, not by going on', () => {
    const fresh = new Guest(host, { exceptionBitmap: 0xffff_ffff })
    fresh.vcpu.reset()
    const { registers } = fresh.vcpu
    registers.setSegment('cs', { ...registers.segment('cs'), selector: 0, base: 0n })
    fresh.write(0xfffe, [0x90, 0x90])
    fresh.setRegisters({ rip: 0xfffe })
    expect(fresh.run(10)).toMatchObject({ reason: 'exception', vector: 13 })
    expect(fresh.clock.count).toBe(2)
    // An instruction that the limit cuts, although memory goes on: mov ax, imm16 at FFFE.
    fresh.write(0xfffe, [0xb8, 0x34, 0x12])
    fresh.setRegisters({ rip: 0xfffe })
    expect(fresh.run(10)).toMatchObject({ reason: 'exception', vector: 13 })
    expect(fresh.register('rip')).toBe(0xfffen)
    fresh.release()
  })

  it('obeys a limit of CS that is smaller than when the code ran before', () => {
    const fresh = new Guest(host, { exceptionBitmap: 0xffff_ffff })
    fresh.vcpu.reset()
    const { registers } = fresh.vcpu
    const code = { ...registers.segment('cs'), selector: 0, base: 0n }
    registers.setSegment('cs', code)
    fresh.write(0x8000, [0x40, 0x40, 0x40, 0x40, 0x0f, 0x01, 0xc1]) // inc ax, four times; vmcall
    fresh.setRegisters({ rip: 0x8000, rax: 0 })
    expect(fresh.run(100)).toEqual({ reason: 'vmcall' })
    expect(fresh.register('rax')).toBe(4n)
    registers.setSegment('cs', { ...code, limit: 0x8001 })
    fresh.setRegisters({ rip: 0x8000, rax: 0 })
    expect(fresh.run(100)).toMatchObject({ reason: 'exception', vector: 13 })
    expect(fresh.register('rax')).toBe(2n)
    fresh.release()
  })

  it('refuses instructions of more than 15 bytes', () => {
    const fresh = new Guest(host, { exceptionBitmap: 0xffff_ffff })
    fresh.vcpu.reset()
    const { registers } = fresh.vcpu
    registers.setSegment('cs', { ...registers.segment('cs'), selector: 0, base: 0n })
    for (const [prefixes, outcome] of [
      [14, { reason: 'budget' }],
      [15, { reason: 'exception', vector: 13, errorCode: 0 }],
    ] as const) {
      fresh.write(0x8000, [...new Array<number>(prefixes).fill(0x66), 0x90])
      fresh.setRegisters({ rip: 0x8000 })
      expect(fresh.run(1)).toMatchObject(outcome)
    }
    fresh.release()
  })
})
