import { createHash } from 'node:crypto'
import { beforeAll, describe, expect, it } from 'vitest'
import { ImageError } from '../../src/boot/boot-target.ts'
import { DEFAULT_MODEL, parseCpuModel } from '../../src/engine/cpu-model.ts'
import {
  EPT_QUALIFICATION_EXECUTABLE,
  EPT_QUALIFICATION_LINEAR_VALID,
  EPT_QUALIFICATION_READABLE,
  EPT_QUALIFICATION_TRANSLATED,
  EPT_QUALIFICATION_WRITE,
} from '../../src/engine/processor.ts'
import { Host } from '../../src/machine/host.ts'
import type { Pc } from '../../src/machine/pc.ts'
import { EPT_RIGHTS, EPT_WRITE } from '../../src/vmm/ept.ts'
import { assemble, flatGuest, hasNasm } from './support/flat-guest.ts'

const MIB = 2 ** 20

/** Counts five timer interrupts of the 8254 through the 8259, halted in between, and shows each. */
const TICKS = `
        lidt [idtr]
        lgdt [gdtr]
        jmp 8:.flat
.flat:  mov al, 0x11            ; both controllers: vectors 0x20 and 0x28, only request 0 unmasked
        out 0x20, al
        out 0xA0, al
        mov al, 0x20
        out 0x21, al
        mov al, 0x28
        out 0xA1, al
        mov al, 4
        out 0x21, al
        mov al, 2
        out 0xA1, al
        mov al, 1
        out 0x21, al
        out 0xA1, al
        mov al, 0xFE
        out 0x21, al
        mov al, 0xFF
        out 0xA1, al
        mov al, 0x34            ; counter 0, rate generator, 5000 Hz or so
        out 0x43, al
        mov al, 239
        out 0x40, al
        xor al, al
        out 0x40, al
        xor ebx, ebx
.wait:  sti
        hlt
        cli
        cmp ebx, 5
        jb .wait
        leave_with 9
.stay:  jmp .stay
tick:   inc ebx
        push eax
        push edx
        mov al, bl
        add al, '0'
        mov dx, 0x3F8
        out dx, al
        mov al, 0x20
        out 0x20, al
        pop edx
        pop eax
        iret
align 8
gdt:    dq 0, 0x00CF9B000000FFFF, 0x00CF93000000FFFF
gdtr:   dw 23
        dd gdt
idtr:   dw 0x21 * 8 - 1
        dd idt
align 8
idt:    times 0x20 dq 0
        dw (0x100000 + tick - $$) & 0xFFFF, 8, 0x8E00, (0x100000 + tick - $$) >> 16
`

/** What the rest of a run depends on, and the past in numbers. */
function futureOf({ vm, view, chipset }: Pc) {
  const { clock, turns, exits, vcpus } = vm.save()
  return {
    ...{ clock, turns, exits },
    apics: vcpus.map(({ apic, pending }) => ({ apic, pending })),
    registers: view.vcpus.map(vcpu =>
      ['rax', 'rbx', 'rdx', 'rsp', 'rip', 'rflags', 'cr0'].map(name => vcpu.register(name)),
    ),
    devices: chipset.devices.map(device => device.save()),
    memory: [...vm.memory.touchedPages()].map(gpa => [
      gpa,
      createHash('sha256').update(vm.memory.read(gpa, 4096)).digest('hex'),
    ]),
  }
}

describe.skipIf(!hasNasm)('a PC, with guests assembled by nasm', () => {
  let host: Host
  beforeAll(async () => {
    host = await Host.create(parseCpuModel(DEFAULT_MODEL), ...new Array(12).fill(4 * MIB))
  })

  it('traps a write by its EPT entry: the exit comes before the write, and says what was lacking', async () => {
    const { pc } = await flatGuest(
      assemble('mov dword [0x200000], 1\nhlt_here: cli\nmov dword [0x200004], 2\nhlt'),
      {},
      host,
    )
    pc.boot()
    pc.vm.memory.write(0x200000, Uint8Array.of(0xaa))
    let before: Uint8Array | undefined
    pc.vm.trapWrite(0x200000, () => {
      before = pc.vm.memory.read(0x200000, 4)
      return { kind: 'requested' }
    })
    expect(pc.vm.run({ instructions: 100 })).toEqual({ kind: 'requested' })
    expect(before).toEqual(Uint8Array.of(0xaa, 0, 0, 0))
    expect(pc.vm.exits.last(1)[0]).toMatchObject({
      reason: 'ept-violation',
      gpa: 0x200000,
      qualification:
        EPT_QUALIFICATION_WRITE |
        EPT_QUALIFICATION_READABLE |
        EPT_QUALIFICATION_EXECUTABLE |
        EPT_QUALIFICATION_LINEAR_VALID |
        EPT_QUALIFICATION_TRANSLATED,
    })
    expect(pc.vm.run({ instructions: 100 })).toEqual({ kind: 'halted-forever' })
    expect(pc.vm.memory.read(0x200000, 8)).toEqual(Uint8Array.of(1, 0, 0, 0, 2, 0, 0, 0))
    pc.dispose()
  })

  it('exits at the next write after W was cleared under a translation that is cached', async () => {
    const { pc } = await flatGuest(assemble('.l: inc dword [0x200000]\njmp .l'), {}, host)
    pc.boot()
    pc.vm.run({ instructions: 1000 })
    const violations = () => pc.vm.exits.byReason()['ept-violation'] ?? 0
    const before = violations()
    pc.vm.run({ instructions: 1000 })
    expect(violations()).toBe(before)
    pc.vm.memory.ept.setRights(0x200000, EPT_RIGHTS & ~EPT_WRITE)
    pc.vm.run({ instructions: 1000 })
    expect(violations()).toBe(before + 1)
    expect(pc.vm.exits.last(1)[0]).toMatchObject({ gpa: 0x200000, count: expect.any(Number) })
    pc.dispose()
  })

  it('orders everything the same whatever the slices, timer interrupts included', async () => {
    const image = assemble(TICKS)
    const runs = []
    for (const slice of [1_000_000, 1000, 17, 1]) {
      const guest = await flatGuest(image, {}, host)
      guest.pc.boot()
      expect(guest.runToStop(slice)).toEqual({ kind: 'debug-exit', value: 9 })
      const { vm } = guest.pc
      runs.push({ shown: guest.shown(), count: vm.clock.count, time: vm.clock.now, exits: vm.exits.last(100) })
      guest.pc.dispose()
    }
    expect(runs[0].shown).toBe('12345')
    expect(runs[0].time).toBeGreaterThan(800_000)
    for (const run of runs.slice(1)) expect(run).toEqual(runs[0])
  })

  it('continues from a snapshot taken at any count to the same end', async () => {
    const image = assemble(TICKS)
    const whole = await flatGuest(image, {}, host)
    whole.pc.boot()
    whole.runToStop()
    const total = whole.pc.vm.clock.count
    for (let at = 1; at < total; at += 11) {
      const first = await flatGuest(image, {}, host)
      first.pc.boot()
      while (first.pc.vm.clock.count < at) first.pc.vm.run({ instructions: at - first.pc.vm.clock.count })
      const snapshot = Buffer.concat(first.pc.save())
      first.pc.dispose()
      const second = await flatGuest(image, {}, host)
      second.pc.restore('memory', snapshot)
      expect(second.runToStop()).toEqual({ kind: 'debug-exit', value: 9 })
      expect(first.shown() + second.shown()).toBe('12345')
      expect(futureOf(second.pc)).toEqual(futureOf(whole.pc))
      second.pc.dispose()
    }
    whole.pc.dispose()
  })

  it('runs beside another on one processor, each in frames of its own', async () => {
    const image = (letter: string) =>
      assemble(`
        mov edi, 0x180000
        mov ecx, 0x10000
        mov eax, '${letter}'
        rep stosd
        mov ecx, 0x10000
        mov esi, 0x180000
.check: lodsd
        cmp eax, '${letter}'
        jne .bad
        loop .check
        put '${letter}'
        leave_with 0
.bad:   leave_with 1`)
    const [first, second] = [await flatGuest(image('A'), {}, host), await flatGuest(image('B'), {}, host)]
    const ended = new Set<unknown>()
    for (const { pc } of [first, second]) pc.boot()
    while (ended.size < 2)
      for (const guest of [first, second]) {
        if (ended.has(guest)) continue
        const stop = guest.pc.vm.run({ instructions: 777 })
        if (stop.kind === 'slice') continue
        expect(stop).toEqual({ kind: 'debug-exit', value: 0 })
        ended.add(guest)
      }
    expect([first.shown(), second.shown()]).toEqual(['A', 'B'])
    const frames = ({ pc }: typeof first) =>
      new Set([...pc.vm.memory.touchedPages()].map(gpa => pc.vm.memory.frame(gpa)))
    expect([...frames(first)].filter(hpa => frames(second).has(hpa))).toEqual([])
    expect(second.pc.view.readHost(first.pc.vm.memory.frame(0x180000), 4)).toBeUndefined()
    for (const { pc } of [first, second]) pc.dispose()
    expect(host.pool.allocated).toBe(0)
  })

  it('is as new after a reset, and its time goes on', async () => {
    const guest = await flatGuest(
      assemble(`
        cmp dword [0x200000], 0
        jne .dirty
        mov dword [0x200000], 1
        put 'c'
        mov al, 0xFE
        out 0x64, al
        jmp $
.dirty: put 'd'
        leave_with 1`),
      {},
      host,
    )
    guest.pc.boot()
    for (let boots = 1; boots <= 3; boots++) {
      const before = guest.pc.vm.clock.count
      expect(guest.runToStop()).toEqual({ kind: 'reset' })
      expect(guest.pc.vm.clock.count).toBeGreaterThan(before)
      guest.pc.reset()
    }
    expect(guest.shown()).toBe('ccc')
    guest.pc.dispose()
  })

  it('starts a second processor by INIT and SIPI, and the two talk through memory', async () => {
    const guest = await flatGuest(
      assemble(`
        mov esi, trampoline
        mov edi, 0x8000
        mov ecx, trampoline_end - trampoline
        rep movsb
        mov dword [0xFEE000F0], 0x1FF
        mov dword [0xFEE00310], 1 << 24
        mov dword [0xFEE00300], 0x4500
        mov ecx, 100000
        loop $
        mov dword [0xFEE00300], 0x4608
.wait:  pause
        cmp byte [0x7000], 'S'
        jne .wait
        put 'S'
        leave_with 0
trampoline:
bits 16
        xor ax, ax
        mov ds, ax
        mov byte [0x7000], 'S'
        cli
        hlt
bits 32
trampoline_end:`),
      { cpus: 2 },
      host,
    )
    guest.pc.boot()
    expect(guest.runToStop()).toEqual({ kind: 'debug-exit', value: 0 })
    expect(guest.shown()).toBe('S')
    expect(guest.pc.vm.vcpus[1].activity).toBe('hlt')
    guest.pc.dispose()
  })

  it('stops a guest whose page tables are device registers, and lets one fault whose tables are in a hole', async () => {
    const paging = (cr3: string) => `mov eax, ${cr3}\nmov cr3, eax\nmov eax, cr0\nor eax, 0x80000000\nmov cr0, eax\nnop`
    const device = await flatGuest(assemble(paging('0xB8000')), {}, host)
    device.pc.boot()
    expect(device.runToStop()).toMatchObject({ kind: 'unbacked-page-table', vcpu: 0 })
    device.pc.dispose()
    const hole = await flatGuest(assemble(paging('0xD0000000')), {}, host)
    hole.pc.boot()
    expect(hole.runToStop()).toEqual({ kind: 'triple-fault', vcpu: 0 })
    hole.pc.dispose()
  })

  it('lets a guest execute device memory and fault there, and the device goes on working', async () => {
    const guest = await flatGuest(assemble('mov word [0xB8000], 0x0748\nmov eax, 0xB8000\njmp eax'), {}, host)
    guest.pc.boot()
    expect(guest.runToStop()).toEqual({ kind: 'triple-fault', vcpu: 0 })
    expect(guest.pc.chipset.screen.text()[0]).toBe('H')
    guest.pc.dispose()
  })

  it('refuses an initrd that is larger than memory', async () => {
    const initrd = { name: 'big.img', bytes: new Uint8Array(8 * MIB) }
    const image = Uint8Array.of(0x7f, 0x45, 0x4c, 0x46)
    const guest = await flatGuest(image, { initrd }, host)
    expect(() => guest.pc.boot()).toThrow(ImageError)
    guest.pc.dispose()
  })
})

describe('a host', () => {
  it('refuses guests that together want more memory than there is', async () => {
    await expect(Host.create(parseCpuModel(DEFAULT_MODEL), 2 * 2 ** 30, 2 * 2 ** 30)).rejects.toThrow(
      '4096 MiB of memory is more than there is: all guests together can have at most 3 GiB',
    )
  })
})
