/** The kernel of `guests/modes/`, which goes through every mode of the processor, by its source and as golden files. */

import { expect, test } from 'vitest'
import { GoldenSession } from '../support/golden-session.ts'

const LIMIT = 120_000

test(
  'stops by source line at the first instruction and in 16-, 32- and 64-bit code, before paging and after',
  async () => {
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
  },
  LIMIT,
)

test(
  'steps by instruction and by line from real mode to long mode',
  async () => {
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
  },
  LIMIT,
)
