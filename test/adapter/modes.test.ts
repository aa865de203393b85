/** The kernel of `guests/modes/`, which goes through every mode of the processor, by its source and as golden files. */

import { dirname } from 'node:path'
import type { DebugProtocol } from '@vscode/debugprotocol'
import { expect, test, vi } from 'vitest'
import type { TranslateBody } from '../../src/protocol/custom-requests.ts'
import { GoldenSession } from '../support/golden-session.ts'
import { assembleFlat, bootSectorSymbols } from '../support/test-guest.ts'

vi.setConfig({ testTimeout: 120_000 })

test('stops by source line at the first instruction and in 16-, 32- and 64-bit code, before paging and after', async () => {
  const session = new GoldenSession('modes')
  await session.launch({ stopOnEntry: true })
  await session.breakAt('modes.asm', 'protected-16', 'real-mode', 'print-16', 'protected-mode', 'long-mode')
  await session.breakAt('kernel.c', 'kernel')
  await session.breakAt('user.c', 'user')
  expect(await session.start()).toMatchObject({ reason: 'entry' })
  const modes: string[] = []
  for (const [file, marker] of [
    ['modes.asm', 'start'],
    ['modes.asm', 'protected-16'],
    ['modes.asm', 'real-mode'],
    ['modes.asm', 'print-16'],
    ['modes.asm', 'protected-mode'],
    ['modes.asm', 'long-mode'],
    ['kernel.c', 'kernel'],
    ['user.c', 'user'],
  ]) {
    if (marker !== 'start') expect(await session.go()).toMatchObject({ reason: 'breakpoint' })
    await session.at(file, marker)
    await session.disassemble(3)
    modes.push(`${marker}: ${await session.mode()}`)
    // A loop comes by here for each character.
    if (marker === 'print-16') await session.breakAt('modes.asm', 'protected-mode', 'long-mode')
  }
  expect(modes).toEqual([
    'start: 32-bit protected, CPL 0, no paging, IF=0',
    'protected-16: 16-bit protected, CPL 0, no paging, IF=0',
    'real-mode: 16-bit real, CPL 0, no paging, IF=0',
    'print-16: 16-bit real, CPL 0, no paging, IF=0',
    'protected-mode: 32-bit protected, CPL 0, no paging, IF=0',
    'long-mode: 64-bit, CPL 0, 4-level paging, IF=0',
    'kernel: 64-bit, CPL 0, 4-level paging, IF=0',
    'user: 64-bit, CPL 3, 4-level paging, IF=0',
  ])
  await session.expectGolden('modes-breakpoints')
})

test('stops at the first instruction for a breakpoint too, once, at each beginning', async () => {
  const session = new GoldenSession('modes')
  await session.launch()
  await session.breakAt('modes.asm', 'start', 'real-mode')
  expect(await session.start()).toMatchObject({ reason: 'breakpoint', hitBreakpointIds: [1] })
  await session.at('modes.asm', 'start')
  expect(await session.go()).toMatchObject({ reason: 'breakpoint', hitBreakpointIds: [2] })
  await session.request('restart', {})
  expect(await session.stopped()).toMatchObject({ reason: 'breakpoint', hitBreakpointIds: [1] })
  await session.at('modes.asm', 'start')
  expect(await session.go()).toMatchObject({ reason: 'breakpoint', hitBreakpointIds: [2] })
  await session.client.close()
})

test('debugs a boot sector, 16-bit code without any format, from its first instruction by the symbols of an ELF file', async () => {
  const [program, symbols] = [assembleFlat('hello-boot-sector'), bootSectorSymbols('hello-boot-sector')]
  const session = new GoldenSession('tests')
  await session.launch({ program, symbols, stopOnEntry: true })
  await session.breakAt('hello-boot-sector.asm', 'next')
  await session.start()
  await session.at('hello-boot-sector.asm', 'start')
  expect(await session.mode()).toBe('16-bit real, CPL 0, no paging, IF=0')
  await session.disassemble(2)
  await session.go('next')
  await session.go('stepIn', 'instruction')
  await session.stack()
  expect(await session.go()).toMatchObject({ reason: 'breakpoint' })
  await session.at('hello-boot-sector.asm', 'next')
  expect(await session.evaluate('*(char *)$rsi')).toBe("104 'h'")
  await session.breakAt('hello-boot-sector.asm')
  await session.request('continue', { threadId: 1 })
  await session.client.event('terminated')
  expect(session.client.output.stdout).toBe('hello from real mode\n')
  await session.expectGolden('boot-sector', { [dirname(program)]: 'BUILD' })
})

test('steps by instruction and by line from real mode to long mode', async () => {
  const session = new GoldenSession('modes')
  await session.launch()
  await session.breakAt('modes.asm', 'real-mode')
  await session.start()
  const modes = new Set<string>()
  const look = async (): Promise<void> => {
    modes.add(await session.mode())
  }
  const stepTo = async (marker: string, command: string, granularity: 'instruction' | 'line'): Promise<void> => {
    const line = session.line('modes.asm', marker)
    for (;;) {
      expect(await session.go(command, granularity)).toMatchObject({ reason: 'step' })
      await look()
      if ((await session.stack())[0].line === line) break
    }
  }
  await look()
  await stepTo('call-in-real-mode', 'stepIn', 'instruction')
  await session.disassemble(2)
  // Into the call, by line, and on by line over all that it does.
  await session.go('stepIn')
  await session.at('modes.asm', 'print-16')
  expect((await session.stack(8)).map(({ name }) => name)).toEqual(['print_16', 'real_mode+0x11'])
  await session.breakAt('modes.asm', 'descriptor-table')
  await session.go()
  await stepTo('protected-mode', 'stepIn', 'instruction')
  await stepTo('page-tables', 'next', 'line')
  await session.breakAt('modes.asm', 'enable-pae')
  await session.go()
  await stepTo('long-mode', 'next', 'line')
  await session.disassemble(2)
  await stepTo('call-kernel', 'next', 'instruction')
  await session.go('stepIn')
  await session.at('kernel.c', 'kernel')
  await look()
  expect([...modes]).toEqual([
    '16-bit real, CPL 0, no paging, IF=0',
    '16-bit protected, CPL 0, no paging, IF=0',
    '32-bit protected, CPL 0, no paging, IF=0',
    '32-bit compatibility, CPL 0, 4-level paging, IF=0',
    '64-bit, CPL 0, 4-level paging, IF=0',
  ])
  await session.expectGolden('modes-steps')
})

test('goes into ring 3 and comes back by SYSCALL: breakpoints, stacks and steps across it', async () => {
  const session = new GoldenSession('modes')
  await session.launch()
  const kernelAt = async (file: string, marker: string): Promise<void> => {
    await session.at(file, marker)
    expect(await session.mode()).toBe('64-bit, CPL 0, 4-level paging, IF=0')
  }
  const userAt = async (marker: string): Promise<void> => {
    await session.at('user.c', marker)
    expect(await session.mode()).toBe('64-bit, CPL 3, 4-level paging, IF=0')
  }
  await session.breakAt('gates.asm', 'to-ring-3')
  await session.start()
  await kernelAt('gates.asm', 'to-ring-3')
  // Over IRETQ is into ring 3, to the first instruction of the program.
  await session.go('next', 'instruction')
  expect((await session.stack())[0].name).toBe('user_main')
  expect(await session.mode()).toContain('CPL 3')
  await session.breakAt('user.c', 'user')
  await session.go()
  await userAt('user')
  // Over the whole system call.
  await session.go('next')
  await userAt('double')

  // Into it: the program's function, SYSCALL, the kernel's entry, its C; the stack leads back to the program.
  await session.breakAt('user.c', 'syscall')
  await session.go()
  await userAt('syscall')
  expect(await session.evaluate('argument')).toBe('21')
  await session.go('stepIn')
  await kernelAt('gates.asm', 'system-call-entry')
  const names = async () => (await session.stack(8)).map(({ name }) => name)
  expect(await names()).toEqual(['system_call_entry', 'system_call [interrupted]', 'user_main'])
  await session.breakAt('kernel.c', 'system-call')
  await session.go()
  await kernelAt('kernel.c', 'system-call')
  expect(await names()).toEqual([
    'handle_system_call',
    expect.stringContaining('system_call_entry+0x'),
    'system_call [interrupted]',
    'user_main',
  ])
  expect(await session.evaluate('frame->rdi')).toBe('21')
  expect(await session.evaluate('argument', 2)).toBe('21')

  // And out, by SYSRET.
  await session.breakAt('kernel.c')
  await session.breakAt('user.c')
  await session.breakAt('gates.asm', 'sysret')
  await session.go()
  await kernelAt('gates.asm', 'sysret')
  await session.go('stepIn', 'instruction')
  expect((await session.stack())[0].name).toBe('system_call')
  expect(await session.mode()).toContain('CPL 3')
  await session.breakAt('gates.asm')
  await session.go('stepOut')
  await session.go('next')
  await userAt('answer')
  expect(await session.evaluate('answer')).toBe('42')
  await session.expectGolden('modes-syscall')
})

test('a page fault is stopped at, explained and repaired, and the guest goes on as if nothing had been', async () => {
  const session = new GoldenSession('modes')
  await session.launch({}, { supportsMemoryEvent: true, supportsInvalidatedEvent: true })
  await session.request('setExceptionBreakpoints', {
    filters: [],
    filterOptions: [{ filterId: 'exception', condition: '#PF' }],
  })
  const info = () => session.request<DebugProtocol.ExceptionInfoResponse['body']>('exceptionInfo', { threadId: 1 })
  const translate = (address: string, access: string) =>
    session.request<TranslateBody>('ringside/translate', { address, access })
  const letter = '0x40010000'

  // The entry of the last level lacks its lowest bit: it is written where the translation says that it lies.
  expect(await session.start()).toMatchObject({ reason: 'exception', text: expect.stringContaining('#PF') })
  await session.at('kernel.c', 'read-fault')
  await session.stack(3)
  expect((await info()).description).toContain('read from CPL 0: the PT entry is not present')
  const { levels, fault } = await translate(letter, 'read')
  expect(fault).toMatchObject({ kind: 'page-fault', errorCode: 0, why: 'the PT entry is not present' })
  const { entryAddress, entry } = levels[3]
  const bytes = Buffer.alloc(8)
  bytes.writeBigUInt64LE(BigInt(entry) | 1n)
  await session.request('writeMemory', { memoryReference: `phys:${entryAddress}`, data: bytes.toString('base64') })
  expect((await info()).description).toContain('the page tables allow it now')
  expect((await translate(letter, 'read')).fault).toBeUndefined()

  // Now it may be read, not written: the translation that reading has left behind allows no more than that.
  expect(await session.go()).toMatchObject({ reason: 'exception' })
  await session.at('kernel.c', 'write-fault')
  expect((await info()).description).toContain('write from CPL 0: the page is read-only and CR0.WP is set')
  await session.request('setExpression', { expression: '*letter_entry', value: '*letter_entry | 2', frameId: 1 })
  await session.request('continue', { threadId: 1 })
  await session.client.event('terminated')
  expect(session.client.output.stdout).toContain('modes: signed\nmodes: the end, without a page fault\n')
  await session.expectGolden('modes-page-fault')
})

test('a page fault that is not repaired is delivered, whatever else was changed', async () => {
  const session = new GoldenSession('modes')
  await session.launch()
  await session.request('setExceptionBreakpoints', { filters: ['exception'] })
  await session.start()
  await session.request('setExpression', { expression: '$r15', value: '1', frameId: 1 })
  await session.request('setExceptionBreakpoints', { filters: [] })
  await session.breakAt('kernel.c', 'handler')
  expect(await session.go()).toMatchObject({ reason: 'breakpoint' })
  await session.at('kernel.c', 'handler')
  expect(await session.evaluate('frame->error_code')).toBe('0')
  expect((await session.stack(8)).map(({ name }) => name)).toEqual([
    'handle_page_fault',
    expect.stringContaining('page_fault_entry+0x'),
    'read_letter [interrupted]',
    'look_at_letter',
    'handle_system_call',
    expect.stringContaining('system_call_entry+0x'),
    'system_call [interrupted]',
    'user_main',
  ])
  await session.breakAt('kernel.c', 'end')
  await session.go()
  expect(await session.evaluate('page_faults')).toBe('2')
  await session.client.close()
})
