/**
 * Guests in 64-bit mode that reach their local APIC: the register page is mapped at 0xFEE00000, every interrupt is logged
 * by a handler that ends it, and the other processors are started by INIT and SIPI and wait in HLT.
 */

import type { Exit } from '../../src/engine/processor.ts'
import { assemble } from '../engine/guest/assemble.ts'
import { Guest, Host } from '../engine/guest/guest.ts'
import { CODE, enterLongMode, PDPT, type ProgramMemory, setGate } from '../engine/guest/long-mode.ts'

const APIC_DIRECTORY = 0x8000
/** Each processor's log: a doubleword with the number of bytes that follow. */
const LOG = 0x20000
const LOG_STRIDE = 0x100
const MOST_CPUS = 8

/** Where the handlers are in the assembled image: their addresses are its first words. */
const PREAMBLE = `
bits 64
org 0x10000
%define LOG 0x20000
; How a handler ends an interrupt: 0 by the register page, 1 by MSR, 2 not at all.
%define EOI_MODE 0xf0
; When not 0, BL is logged behind each vector: how far the program has come.
%define LOG_BL 0xf1
%macro apic_write 2
  mov dword [r15 + %1], %2
%endmacro
%macro apic_read 2
  mov %1, [r15 + %2]
%endmacro
%macro msr_write 2-3 0
  mov ecx, %1
  mov eax, %2
  mov edx, %3
  wrmsr
%endmacro
%macro msr_read 1
  mov ecx, %1
  rdmsr
%endmacro
; An instruction that may fault: a #GP is logged, and the program goes on behind it.
%macro try 1+
  lea r14, [rel %%next]
  %1
%%next:
%endmacro
%macro try_write 2-3 0
  mov ecx, %1
  mov eax, %2
  mov edx, %3
  try wrmsr
%endmacro
%macro try_read 1
  mov ecx, %1
  try rdmsr
%endmacro
%macro note 1
  mov eax, %1
  call log_byte
%endmacro
%macro enable 0
  apic_write 0xf0, 0x1ff
%endmacro
%macro x2apic 0
  msr_read 0x1b
  or eax, 0xc00
  wrmsr
  msr_write 0x80f, 0x1ff
  mov byte [r13 + EOI_MODE], 1
%endmacro
%macro spend 1
  mov ecx, %1
%%again:
  loop %%again
%endmacro
%macro halt_until 1
%%again:
  cmp dword [r13], %1
  jae %%done
  hlt
  jmp %%again
%%done:
%endmacro
; The other processors, from 1 up, are started and reach their first HLT.
%macro start_others 0
  apic_write 0x310, 0
  apic_write 0x300, 0xc4500
  apic_write 0x300, 0xc4618
%endmacro
; Ends what the processors do for a moment: the others run until they halt.
%define pause_here vmcall

  dw stubs, protection, nmi, invalid, debug
start:
  mov r15d, 0xfee00000
  mov r13d, LOG
  jmp main

log_byte:                       ; AL
  push rbx
  mov ebx, [r13]
  mov [r13 + 4 + rbx], al
  inc dword [r13]
  pop rbx
  ret

log_event:                      ; AL
  call log_byte
  cmp byte [r13 + LOG_BL], 0
  je .done
  mov al, bl
  call log_byte
.done:
  ret

; The places of an interrupted program's RIP and flags, after a push of RAX.
%define SAVED_RIP 8
%define SAVED_FLAGS 24
%macro set_handler 2
  mov word [0x5000 + %1 * 16], %2 - $$
%endmacro
%macro trap_gate 1
  mov byte [0x5000 + %1 * 16 + 5], 0x8f
%endmacro

invalid:
  push rax
  mov al, 6
  call log_event
  pop rax
  mov [rsp], r14
  iretq
debug:                          ; one step
  push rax
  mov al, 1
  call log_event
  and dword [rsp + SAVED_FLAGS], ~0x100
  pop rax
  iretq
protection:
  push rax
  mov al, 13
  call log_event
  pop rax
  add rsp, 8
  mov [rsp], r14
  iretq
nmi:
  push rax
  mov al, 2
  call log_event
  pop rax
  iretq

stubs:
%assign vector 32
%rep 224
  push strict dword vector
  jmp strict near interrupt
%assign vector vector + 1
%endrep
interrupt:
  push rax
  push rcx
  push rdx
  mov al, [rsp + 24]
  call log_event
  cmp byte [r13 + EOI_MODE], 1
  ja .done
  je .msr
  mov dword [r15 + 0xb0], 0
  jmp .done
.msr:
  msr_write 0x80b, 0
.done:
  pop rdx
  pop rcx
  pop rax
  add rsp, 8
  iretq

other_start:
  mov eax, 16
  mov ss, eax
  mov ds, eax
  mov r15d, 0xfee00000
  apic_read eax, 0x20
  shr eax, 24
  mov r13d, eax
  shl r13d, 8
  add r13d, LOG
  shl eax, 9
  mov esp, 0x31000
  sub esp, eax
  call other
.wait:
  hlt
  jmp .wait
`

const TRAMPOLINE = `
  times 0x8000 - ($ - $$) db 0x90
bits 16
trampoline:
  o32 lgdt [cs:gdtr - trampoline]
  o32 lidt [cs:idtr - trampoline]
  mov eax, 0x6a0
  mov cr4, eax
  mov eax, 0x1000
  mov cr3, eax
  mov ecx, 0xc0000080
  mov eax, 0x901
  xor edx, edx
  wrmsr
  mov eax, 0x80010031
  mov cr0, eax
  jmp dword 8:other_start
gdtr: dw 23
  dd 0x6000
idtr: dw 0xfff
  dd 0x5000
`

/** What the other processors do before they wait, when a program does not say it. */
const TAKE_INTERRUPTS = `
  enable
  sti
  ret`

const host = new Host()
const guests = new Map<number, Guest>()

export function releaseGuests(): void {
  for (const guest of guests.values()) guest.release()
  guests.clear()
}

export interface ApicProgram {
  /** Of processor 0, at each VMCALL of which the others run until they halt; it ends with the last. */
  readonly main: string
  /** A function that the other processors call before they wait. */
  readonly others?: string
  readonly cpus?: number
  /** Called at each VMCALL of processor 0, numbered from 0, after the other processors have come to rest. */
  readonly at?: (guest: Guest, pause: number) => unknown
}

export interface Outcome {
  readonly guest: Guest
  /** Interrupts, #GP and notes of each processor in order. */
  readonly logs: readonly (readonly number[])[]
  /** What processor 0 ended with when it was not a VMCALL. */
  readonly exit: Exit | undefined
  /** Level-triggered interrupts whose end the I/O APIC was told of. */
  readonly ended: readonly number[]
  register(name: string, cpu?: number): number
}

/** Processor 0's program in 64-bit mode with interrupts off; `others` run until they halt whenever it makes a VMCALL. */
export function runApic({ main, others = TAKE_INTERRUPTS, cpus = 1, at }: ApicProgram): Outcome {
  const guest = guests.get(cpus) ?? new Guest(host, { cpus })
  guests.set(cpus, guest)
  const ended: number[] = []
  guest.fabric.ioApic = { endOfInterrupt: vector => ended.push(vector) }
  for (const vcpu of guest.vcpus.slice(1)) vcpu.reset()
  loadApicProgram(guest, main, others)

  // The program ends with the VMCALL in front of UD2.
  let exit: Exit | undefined
  for (let pause = 0; ; pause++) {
    exit = runToRest(guest)
    if (exit?.reason !== 'vmcall') break
    exit = undefined
    settleOthers(guest)
    at?.(guest, pause)
    const next = guest.read(Number(guest.register('rip')), 2)
    if (next[0] === 0x0f && next[1] === 0x0b) break
  }
  return {
    guest,
    exit,
    ended,
    logs: guest.vcpus.map((_, cpu) => readLog(guest, cpu)),
    register: (name, cpu = 0) => Number(guest.register(name, guest.vcpus[cpu])),
  }
}

/** Puts a program into memory, and the bootstrap processor at its start. */
export function loadApicProgram(guest: ProgramMemory, main: string, others: string): void {
  enterLongMode(guest)
  mapApicPage(guest)
  const image = assemble(`${PREAMBLE}\nother:\n${others}\nmain:\n${main}\n  vmcall\n  ud2\n${TRAMPOLINE}`)
  const words = new DataView(image.buffer, image.byteOffset)
  const [stubs, protection, nmi, invalid, debug] = [0, 2, 4, 6, 8].map(
    offset => 0x10000 + words.getUint16(offset, true),
  )
  // Each stub has ten bytes.
  for (let vector = 32; vector < 256; vector++) setGate(guest, vector, stubs + (vector - 32) * 10)
  setGate(guest, 13, protection)
  setGate(guest, 2, nmi)
  setGate(guest, 6, invalid)
  setGate(guest, 1, debug)
  guest.write(LOG, new Uint8Array(MOST_CPUS * LOG_STRIDE))
  guest.write(CODE, image)
  guest.vcpu.registers.set('rip', BigInt(CODE + 10))
}

/** The log of processor 0 after a program that is alone. */
export function logOf(main: string, more: Omit<ApicProgram, 'main'> = {}): readonly number[] {
  return runApic({ main, ...more }).logs[0]
}

function mapApicPage(guest: ProgramMemory): void {
  guest.write(APIC_DIRECTORY, new Uint8Array(4096))
  guest.write64(PDPT + 3 * 8, BigInt(APIC_DIRECTORY | 3))
  guest.write64(APIC_DIRECTORY + ((0xfee00000 >>> 21) & 511) * 8, 0xfee00083n)
}

const LIMIT = 200_000

/** Runs processor 0, letting time pass while it is halted. */
function runToRest(guest: Guest): Exit | undefined {
  for (let slices = 0; slices < 1000; slices++) {
    const exit = guest.run(LIMIT)
    if (exit.reason !== 'hlt') return exit
    settleOthers(guest)
    if (guest.vcpu.activity === 'active') continue
    if (guest.clock.deadline === Number.POSITIVE_INFINITY) return exit
    guest.clock.skipTo(guest.clock.deadline)
    guest.clock.fireDue()
  }
  throw new Error('the guest does not come to an end')
}

function settleOthers(guest: Guest): void {
  const [, ...others] = guest.vcpus
  for (let rounds = 0; rounds < 100; rounds++) {
    for (const vcpu of others) vcpu.takeSignals()
    const running = others.filter(vcpu => vcpu.activity === 'active')
    if (running.length === 0) return
    for (const vcpu of running) guest.run(1000, vcpu)
  }
}

function readLog(guest: Guest, cpu: number): number[] {
  const at = LOG + cpu * LOG_STRIDE
  return Array.from(guest.read(at + 4, guest.read32(at)))
}
