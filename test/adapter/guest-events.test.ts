/** Events that a guest tells of by hypercall, as a client sees them. */

import { beforeAll, describe, expect, test } from 'vitest'
import { DapClient } from '../../scripts/dap-client.ts'
import { serve } from '../../src/adapter/server.ts'
import { Debugger } from '../../src/debugger/debugger.ts'
import { SymbolBook } from '../../src/debugger/symbol-book.ts'
import { VmTarget } from '../../src/debugger/vm-target.ts'
import { configure } from '../../src/machine/configuration.ts'
import { Pc } from '../../src/machine/pc.ts'
import { assemble, hasNasm } from '../machine/support/flat-guest.ts'

/** Tells of `tick` with EBP from 0 to 149, then of `done`. */
const SOURCE = `
        xor ebp, ebp
.next:  mov [number], ebp
        mov eax, 2
        mov ebx, tick
        mov ecx, 4
        mov edx, number
        mov esi, 1
        vmcall
        inc ebp
        cmp ebp, 150
        jb .next
        mov eax, 2
        mov ebx, done
        xor esi, esi
        vmcall
        leave_with 0
tick:   db "tick"
done:   db "done"
        align 8
number: dq 0`

describe.skipIf(!hasNasm)('events that the guest tells of', () => {
  let image: Uint8Array
  beforeAll(() => {
    image = assemble(SOURCE)
  })

  async function start(filters: readonly { filterId: string; condition?: string; hitCondition?: string }[]) {
    const configuration = configure({ image: { name: 'ticks', bytes: image }, protocol: 'flat', memory: 4 * 2 ** 20 })
    const pc = await Pc.create(configuration, { console: () => undefined, debugConsole: () => undefined })
    pc.boot()
    const client = DapClient.connect(
      (input, output) => void serve(input, output, async () => new Debugger(new VmTarget(pc), new SymbolBook())),
    )
    await client.launch({ program: 'ticks' })
    await client.request('setExceptionBreakpoints', { filters: [], filterOptions: [...filters] })
    await client.request('configurationDone')
    return client
  }

  test('stop where they are asked for, with name, values and place', async () => {
    const client = await start([{ filterId: 'event', condition: 'tick if $ebp == 7' }])
    const body = await client.event('stopped')
    expect(body).toMatchObject({ reason: 'exception', text: expect.stringMatching(/^tick\(7\), by 0x10002[0-9a-f]$/) })
    const told = await client.request('ringside/timeline', { recent: 2 })
    expect(told).toMatchObject({
      total: 8,
      events: [
        { name: 'tick', values: ['0x6'], vcpu: 0, cpl: 0 },
        { name: 'tick', values: ['0x7'], vcpu: 0, cpl: 0 },
      ],
    })
    const typed = await client.request('evaluate', { expression: 'timeline 1', context: 'repl' })
    expect(typed).toMatchObject({ result: expect.stringMatching(/^\d+ +vCPU 0 +CPL 0 +tick\(7\) +at 0x10002/) })
    await client.close()
  })

  test('are shown as they come, the first hundred of a moment', async () => {
    const client = await start([{ filterId: 'event', condition: 'done' }])
    await client.event('stopped')
    const shown = client.output.console
    expect(shown).toMatch(/^3?\d: tick\(0\)\n/m)
    expect(shown).toContain('tick(0x63)\nand 51 more events\n')
    expect(shown).not.toContain('tick(0x64)')
    await client.close()
  })

  test('that are not asked for stop nothing', async () => {
    const client = await start([{ filterId: 'event', condition: 'tock' }])
    await client.event('exited')
    await client.close()
  })
})
