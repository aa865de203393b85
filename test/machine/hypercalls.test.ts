import { beforeAll, describe, expect, it } from 'vitest'
import { DEFAULT_MODEL, parseCpuModel } from '../../src/engine/cpu-model.ts'
import { Host } from '../../src/machine/host.ts'
import { LONGEST_EVENT_NAME, MOST_EVENT_VALUES, MOST_TEXT } from '../../src/vmm/hypercalls.ts'
import { assemble, type FlatGuest, flatGuest, hasNasm } from './support/flat-guest.ts'

const ENOSYS = -38
const EINVAL = -22
const EFAULT = -14
const EPERM = -1

/** Sets the registers of a call, makes it, and shows what EAX then has as a debug exit if it isn't `expected`. */
const calling = (number: number, [rbx, rcx, rdx, rsi]: readonly (number | string)[], expected: number) => `
        mov eax, ${number}
        mov ebx, ${rbx ?? 0}
        mov ecx, ${rcx ?? 0}
        mov edx, ${rdx ?? 0}
        mov esi, ${rsi ?? 0}
        vmcall
        cmp eax, ${expected}
        je %%ok
        leave_with 2
%%ok:`

const program = (calls: readonly string[], rest = '') => `
${calls.map((call, i) => `%macro call${i} 0${call}\n%endmacro\ncall${i}`).join('\n')}
        leave_with 1
text:   db "hello, ring 0"
name:   db "page fault"
odd:    db "bell", 7
        align 8
values: dq 0x1122334455667788, 42
${rest}`

describe.skipIf(!hasNasm)('hypercalls', () => {
  let host: Host
  beforeAll(async () => {
    host = await Host.create(parseCpuModel(DEFAULT_MODEL), 16 * 2 ** 20)
  })

  async function run(source: string, options = {}): Promise<FlatGuest> {
    const guest = await flatGuest(assemble(source), options, host)
    guest.pc.boot()
    expect(guest.runToStop()).toEqual({ kind: 'debug-exit', value: 1 })
    return guest
  }

  it('are announced by CPUID behind the signature', async () => {
    const guest = await run(`
        mov eax, 0x40000000
        cpuid
        cmp ebx, "Ring"
        jne .no
        cmp ecx, "side"
        jne .no
        cmp edx, "VMM "
        jne .no
        cmp eax, 0x40000001
        jb .no
        mov eax, 0x40000001
        cpuid
        cmp eax, 7
        jne .no
        leave_with 1
.no:    leave_with 2`)
    guest.pc.dispose()
  })

  it('show text at the debug console, and not at the serial one', async () => {
    const guest = await run(program([calling(0, ['text', 13], 13), calling(0, [0, 0], 0)]))
    expect(guest.debugShown()).toBe('hello, ring 0')
    expect(guest.shown()).toBe('')
    guest.pc.dispose()
  })

  it('note events with name, values, ring and instruction count', async () => {
    const guest = await run(program([calling(2, ['name', 10, 'values', 2], 0), calling(2, ['text', 5], 0)]))
    const [first, second] = guest.pc.vm.events.last(10)
    expect(first).toMatchObject({ name: 'page fault', values: [0x1122334455667788n, 42n], vcpu: 0, cpl: 0 })
    expect(second).toMatchObject({ name: 'hello', values: [] })
    // Seven instructions and the call, with ESP's load before the first; then CMP, JE and six again.
    expect([first.count, second.count]).toEqual([7, 15])
    guest.pc.dispose()
  })

  it('VMMCALL is the same call', async () => {
    const guest = await run(program([calling(2, ['name', 10], 0).replace('vmcall', 'vmmcall')]))
    expect(guest.pc.vm.events.total).toBe(1)
    guest.pc.dispose()
  })

  it.each([
    ['a number that is none', calling(3, [], ENOSYS)],
    ['a large number', calling(0xffffffff, [], ENOSYS)],
    ['too much text', calling(0, ['text', MOST_TEXT + 1], EINVAL)],
    ['text that is not in memory', calling(0, [0xfffffff0, 16], EFAULT)],
    ['a name that is too long', calling(2, ['text', LONGEST_EVENT_NAME + 1], EINVAL)],
    ['a name that is empty', calling(2, ['text', 0], EINVAL)],
    ['control characters in a name', calling(2, ['odd', 5], EINVAL)],
    ['too many values', calling(2, ['name', 10, 'values', MOST_EVENT_VALUES + 1], EINVAL)],
    ['values that are not in memory', calling(2, ['name', 10, 0xfffffff8, 1], EFAULT)],
  ])('refuse %s', async (_what, call) => {
    const guest = await run(program([call]))
    expect(guest.pc.vm.events.total).toBe(0)
    expect(guest.debugShown()).toBe('')
    guest.pc.dispose()
  })

  it('from ring 3 are events only', async () => {
    const guest = await run(`
        lgdt [gdtr]
        mov ax, 0x28
        ltr ax
        lidt [idtr]
        push dword 0x23
        push dword 0x90000
        push dword 0x202
        push dword 0x1b
        push dword user
        iretd
user:
${program([calling(0, ['text', 13], EPERM), calling(1, [], EPERM), calling(2, ['name', 10], 0)], '')
  .replace('leave_with 1', 'int 0x30')
  .replaceAll('leave_with 2', 'int3')}
done:   leave_with 1
        align 8
gdt:    dq 0, 0x00cf9b000000ffff, 0x00cf93000000ffff, 0x00cffb000000ffff, 0x00cff3000000ffff
        dw 103, tss - 0x100000
        db 0x10, 0x89, 0, 0
gdtr:   dw 0x2f
        dd gdt
idt:    times 0x30 dq 0
        dw done - 0x100000, 8
        db 0, 0xee
        dw 0x10
idtr:   dw 0x187
        dd idt
tss:    dd 0, 0x80000, 0x10
        times 23 dd 0`)
    expect(guest.pc.vm.events.last(1)).toMatchObject([{ name: 'page fault', cpl: 3 }])
    expect(guest.debugShown()).toBe('')
    guest.pc.dispose()
  })

  it('yield the turn to another vCPU', async () => {
    // The other processor writes a word as soon as it runs; the first one spins 1,000 instructions, or yields.
    const source = (first: string) => `
        mov dword [0xfee00300], 0xc4500     ; INIT to all others
        mov esi, trampoline
        mov edi, 0x8000
        mov ecx, trampoline_end - trampoline
        rep movsb
        mov dword [0xfee00300], 0xc4608     ; SIPI, page 8
        ${first}
        cmp dword [0x7000], 1
        je .seen
        leave_with 2
.seen:  leave_with 1
trampoline:
bits 16
        xor ax, ax
        mov ds, ax
        mov dword [0x7000], 1
.again: jmp .again
bits 32
trampoline_end:`
    const yields = await run(source('mov eax, 1\n vmcall'), { cpus: 2 })
    yields.pc.dispose()
    const spins = await flatGuest(assemble(source('mov ecx, 1000\n.spin: loop .spin')), { cpus: 2 }, host)
    spins.pc.boot()
    expect(spins.runToStop()).toEqual({ kind: 'debug-exit', value: 2 })
    spins.pc.dispose()
  })

  it('are forgotten when the machine begins anew', async () => {
    const guest = await run(program([calling(2, ['name', 10], 0)]))
    guest.pc.powerCycle()
    expect(guest.pc.vm.events.total).toBe(0)
    expect(guest.runToStop()).toEqual({ kind: 'debug-exit', value: 1 })
    expect(guest.pc.vm.events.total).toBe(1)
    guest.pc.dispose()
  })
})
