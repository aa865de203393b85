/** The tour, a small kernel of `guests/`, from its first instruction in 32-bit mode to its program in ring 3. */

import { fileURLToPath } from 'node:url'
import type { DebugProtocol } from '@vscode/debugprotocol'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { DapClient } from '../../scripts/dap-client.ts'
import type { ExitsBody, TranslateBody } from '../../src/protocol/custom-requests.ts'
import { startAdapter } from '../support/adapter-process.ts'

const TOUR = fileURLToPath(new URL('../../guests/prebuilt/tour.elf', import.meta.url))
const LIMIT = 120_000

describe('the tour', () => {
  let client: DapClient

  beforeEach(() => {
    client = startAdapter()
  })
  afterEach(() => client.close())

  async function launch(breakpoints: readonly string[], args: object = {}): Promise<void> {
    await client.launch({ program: TOUR, memory: '64M', stopOnEntry: true, ...args })
    const set = await client.request<{ breakpoints: DebugProtocol.Breakpoint[] }>('setFunctionBreakpoints', {
      breakpoints: breakpoints.map(name => ({ name })),
    })
    expect(set.breakpoints.every(breakpoint => breakpoint.verified)).toBe(true)
    await client.request('configurationDone')
    expect(await client.event('stopped')).toMatchObject({ reason: 'entry' })
  }

  async function goOn(command = 'continue'): Promise<unknown> {
    await client.request(command, { threadId: 1, granularity: 'instruction' })
    return client.event('stopped', () => true, LIMIT)
  }

  async function frame(): Promise<DebugProtocol.StackFrame> {
    const { stackFrames } = await client.request<{ stackFrames: DebugProtocol.StackFrame[] }>('stackTrace', {
      threadId: 1,
    })
    return stackFrames[0]
  }

  async function mode(): Promise<string> {
    const { scopes } = await client.request<{ scopes: DebugProtocol.Scope[] }>('scopes', { frameId: 1 })
    const { variables } = await client.request<{ variables: DebugProtocol.Variable[] }>('variables', {
      variablesReference: scopes.find(({ name }) => name === 'CPU mode')?.variablesReference,
    })
    return variables[0].value
  }

  const translate = async (access: string): Promise<TranslateBody> =>
    client.request<TranslateBody>('ringside/translate', {
      address: (await frame()).instructionPointerReference,
      access,
    })

  test(
    'stops in each mode that it goes through',
    async () => {
      await launch(['start', 'long_mode', 'kernel_main', 'user_main', 'handle_system_call'])
      expect([await mode(), (await frame()).name]).toEqual(['32-bit protected, CPL 0, no paging, IF=0', 'start'])
      expect(await translate('execute')).toMatchObject({ paging: 'no paging', levels: [] })

      const stops: string[] = []
      for (let i = 0; i < 4; i++) {
        expect(await goOn()).toMatchObject({ reason: 'breakpoint' })
        stops.push(`${(await frame()).name}: ${await mode()}`)
      }
      expect(stops).toEqual([
        'long_mode: 64-bit, CPL 0, 4-level paging, IF=0',
        'kernel_main: 64-bit, CPL 0, 4-level paging, IF=0',
        'user_main: 64-bit, CPL 3, 4-level paging, IF=1',
        'handle_system_call: 64-bit, CPL 0, 4-level paging, IF=0',
      ])
    },
    LIMIT,
  )

  test(
    'shows how the address of its program leads through four levels and EPT to a host frame',
    async () => {
      await launch(['user_main'])
      await goOn()
      const { instructionPointerReference: address } = await frame()
      expect(address).toMatch(/^0x400000[0-9a-f]{2}$/)
      const { levels, page, fault } = await translate('execute')
      expect(fault).toBeUndefined()
      expect(levels.map(({ level, index }) => [level, index])).toEqual([
        ['PML4', 0],
        ['PDPT', 1],
        ['PD', 0],
        ['PT', 0],
      ])
      expect(levels.map(level => level.ept?.steps.length)).toEqual([4, 4, 4, 4])
      expect(levels[3].accumulated).toEqual({ writable: false, user: true, executable: true })
      expect(page?.ept?.rights).toBe('rwx')
      const read = (memoryReference = '') => client.request('readMemory', { memoryReference, count: 32 })
      const { data } = await read(address)
      expect(await read(`phys:${page?.gpa}`)).toMatchObject({ data })
      expect(await read(`hpa:${page?.hpa}`)).toMatchObject({ data })
      expect((await translate('write')).fault).toEqual({
        kind: 'page-fault',
        errorCode: 7,
        errorBits: 'P W U',
        why: 'the page is read-only',
      })
    },
    LIMIT,
  )

  test(
    'is stepped into and over a call',
    async () => {
      await launch(['kernel_main'])
      await goOn()
      const callOf = async (command: string): Promise<string> => {
        for (;;) {
          const { instructionPointerReference: memoryReference } = await frame()
          const { instructions } = await client.request<{ instructions: DebugProtocol.DisassembledInstruction[] }>(
            'disassemble',
            { memoryReference, instructionCount: 2 },
          )
          const isCall = instructions[0].instruction.startsWith('call')
          await goOn(isCall ? command : 'stepIn')
          if (isCall)
            return `${instructions[0].instruction} -> ${(await frame()).name}, was before ${instructions[1].address}`
        }
      }
      const over = await callOf('next')
      expect(over).toMatch(/^call 0x[0-9a-f]+ <print> -> kernel_main, /)
      expect(over.split('was before ')[1]).toBe((await frame()).instructionPointerReference)
      expect(await callOf('stepIn')).toMatch(/^call 0x[0-9a-f]+ <page_table_root> -> page_table_root, /)
    },
    LIMIT,
  )

  test(
    'runs to its end with the same instructions and output, stopped and looked at or not',
    async () => {
      await launch(['handle_interrupt', 'give_page'])
      let stops = 0
      for (;;) {
        await client.request('continue', { threadId: 1 })
        if ((await client.nextOf(['stopped', 'terminated'], LIMIT)).event === 'terminated') break
        stops++
        await mode()
        await translate('execute')
        await goOn('next')
      }
      expect(stops).toBeGreaterThan(3)
      expect(await client.event('exited')).toEqual({ exitCode: 0 })
      const looked = await client.request<ExitsBody>('ringside/exits', {})
      const { stdout } = client.output
      await client.close()

      client = startAdapter()
      await client.launch({ program: TOUR, memory: '64M' })
      await client.request('configurationDone')
      await client.event('terminated', () => true, LIMIT)
      const alone = await client.request<ExitsBody>('ringside/exits', {})
      expect(client.output.stdout).toBe(stdout)
      expect(looked).toEqual(alone)
    },
    LIMIT,
  )

  test(
    'begins anew on request, in its middle and at its end, and the same run happens once more',
    async () => {
      await launch(['user_main'])
      await goOn()
      await client.request('restart', {})
      expect(await client.event('stopped')).toMatchObject({ reason: 'entry' })
      expect((await frame()).name).toBe('start')
      expect(await client.request('ringside/exits', {})).toMatchObject({ instructions: 0, total: 0, recent: [] })
      expect(await goOn()).toMatchObject({ reason: 'breakpoint' })
      client.output.stdout = ''
      await client.request('restart', {})
      await client.event('stopped')
      await goOn()
      await client.request('continue', { threadId: 1 })
      await client.event('terminated', () => true, LIMIT)
      const first = await client.request<ExitsBody>('ringside/exits', {})
      const said = client.output.stdout

      client.output.stdout = ''
      await client.request('restart', {})
      await client.event('stopped')
      await goOn()
      await client.request('continue', { threadId: 1 })
      await client.event('terminated', () => true, LIMIT)
      expect(await client.request('ringside/exits', {})).toEqual(first)
      expect(client.output.stdout).toBe(said)
    },
    LIMIT,
  )

  test(
    'has several vCPUs, of which the others wait for their start',
    async () => {
      await launch([], { cpus: 2 })
      expect(await client.request('threads')).toEqual({
        threads: [
          { id: 1, name: 'vCPU 0' },
          { id: 2, name: 'vCPU 1' },
        ],
      })
      const second = await client.request<{ stackFrames: DebugProtocol.StackFrame[] }>('stackTrace', { threadId: 2 })
      expect(second.stackFrames[0].instructionPointerReference).toBe('0xfffffff0')
    },
    LIMIT,
  )
})

describe('an image that can not be launched', () => {
  test.each([
    [{ program: '/nonexistent/kernel' }, 'program "/nonexistent/kernel" can\'t be read: there is no such file'],
    [{ program: fileURLToPath(import.meta.url) }, /tour\.test\.ts/],
    [{ program: TOUR, memory: '64G' }, 'more than there is'],
    [{ program: TOUR, memory: 12345 }, '12345 bytes of memory'],
    [{ program: TOUR, cpus: 33 }, '33 processors: a machine has 1 to'],
    [{ program: TOUR, initrd: '/nonexistent/initrd' }, 'initrd "/nonexistent/initrd" can\'t be read'],
    [{ program: TOUR, symbols: '/nonexistent/symbols' }, 'symbols "/nonexistent/symbols" can\'t be read'],
    [{ program: TOUR, symbols: fileURLToPath(import.meta.url) }, 'not an ELF file'],
  ])('%j is refused, and the client may try again', async (args, message) => {
    const client = startAdapter()
    await client.request('initialize', { adapterID: 'ringside' })
    await expect(client.request('launch', args)).rejects.toThrow(message)
    await client.request('launch', { program: TOUR, memory: '64M', stopOnEntry: true })
    await client.event('initialized')
    await client.close()
  })
})
