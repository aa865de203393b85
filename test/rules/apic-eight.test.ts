/** Eight processors that send each other interrupts: the same run twice is the same run, however it is cut. */

import { afterAll, expect } from 'vitest'
import type { Vcpu } from '../../src/engine/processor.ts'
import type { Platform } from '../../src/vmm/platform.ts'
import { Vm } from '../../src/vmm/vm.ts'
import { Host, registersOf } from '../engine/guest/guest.ts'
import { loadApicProgram } from './apic-guest.ts'
import { rule } from './rule.ts'

const MEMORY = 2 ** 20
const CPUS = 8
const host = new Host()
const vms: Vm[] = []
afterAll(() => {
  for (const vm of vms) vm.dispose()
})

/** No devices: every access would be a mistake of the test. */
const NO_DEVICES: Platform = {
  bus: {
    readPort: () => 0xff,
    writePort: () => undefined,
    readMmio: () => 0n,
    writeMmio: () => undefined,
    claims: () => false,
  },
  ioApic: { endOfInterrupt: () => undefined },
  externalInterrupts: { pending: false, acknowledge: () => 0 },
  showByte: () => undefined,
}

/**
 * Each processor sends 200 interrupts by a sequence of its own: to one, to all others, by lowest priority, or to itself.
 * Its sum at 0x28000 depends on the order in which it took what the others sent.
 */
const EXCHANGE = `
exchange:
  enable
  mov dword [r15 + 0x320], 0x20030
  mov dword [r15 + 0x380], 700
  sti
  mov ebx, r13d
  mov ebp, 200
.next:
  imul ebx, ebx, 1103515245
  add ebx, 12345
  mov eax, ebx
  shr eax, 8
  and eax, 7 << 24
  mov ecx, ebx
  shr ecx, 16
  and ecx, 0x7f
  add ecx, 0x40
  test ebx, 0x10000000
  jz .send
  test ebx, 0x20000000
  jz .others
  or ecx, 0x80100
  jmp .send
.others:
  or ecx, 0xc0000
.send:
  cli
  mov [r15 + 0x310], eax
  mov [r15 + 0x300], ecx
  sti
  mov ecx, ebx
  shr ecx, 20
  and ecx, 0xff
  inc ecx
.spin:
  mov eax, [r13]
  mov edx, [0x28000]
  imul edx, edx, 31
  add edx, eax
  mov [0x28000], edx
  mov dword [r13], 0
  loop .spin
  dec ebp
  jnz .next
  mov dword [r15 + 0x380], 0
  ret
`

/** Runs to the end in slices of so many instructions; everything that the machine is then. */
function run(slice: number): { state: unknown; memory: Uint8Array; vcpus: readonly Vcpu[]; sum: number } {
  const vm = new Vm({ processor: host.processor, pool: host.pool, memory: MEMORY, cpus: CPUS })
  vms.push(vm)
  vm.attach(NO_DEVICES)
  const program = {
    vcpu: vm.vcpus[0],
    write: (gpa: number, bytes: ArrayLike<number>) => vm.memory.write(gpa, Uint8Array.from(bytes)),
    write64: (gpa: number, value: bigint) =>
      vm.memory.write(gpa, new Uint8Array(BigUint64Array.of(BigInt.asUintN(64, value)).buffer)),
  }
  const main = `start_others\n call exchange\n sti\n.wait:\n hlt\n jmp .wait\n ${EXCHANGE}`
  loadApicProgram(program, main, 'call exchange\n sti\n ret')
  for (let slices = 0; ; slices++) {
    const stop = vm.run({ instructions: slice })
    if (stop.kind === 'halted-forever') break
    expect(stop).toEqual({ kind: 'slice' })
    expect(slices).toBeLessThan(1_000_000)
  }
  const { clock, turns, vcpus } = vm.save()
  const memory = vm.memory.read(0, 0x40000)
  return {
    state: { clock, turns, vcpus: vm.vcpus.map((vcpu, i) => ({ ...registersOf(vcpu), ...vcpus[i].apic })) },
    memory,
    vcpus: vm.vcpus,
    sum: new DataView(memory.buffer, memory.byteOffset).getUint32(0x28000, true),
  }
}

rule(
  'apic',
  'Ringside, determinism',
  'eight processors that exchange interrupts end in the same state each time, and however the run is cut',
  () => {
    const first = run(1_000_000)
    expect(first.vcpus.map(vcpu => vcpu.activity)).toEqual(new Array(CPUS).fill('hlt'))
    expect(first.sum).not.toBe(0)
    for (const slice of [1_000_000, 9_973, 331]) {
      const again = run(slice)
      expect(again.state).toEqual(first.state)
      expect(Buffer.from(again.memory).equals(Buffer.from(first.memory))).toBe(true)
    }
  },
)
