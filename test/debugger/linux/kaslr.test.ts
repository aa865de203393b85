/** Debian's kernel with KASLR as the debugger follows it, without the symbols of its `-dbg` package. */

import { readFileSync } from 'node:fs'
import { afterEach, describe, expect, test } from 'vitest'
import { Debugger } from '../../../src/debugger/debugger.ts'
import { launch } from '../../../src/debugger/launch.ts'
import { SymbolBook } from '../../../src/debugger/symbol-book.ts'
import { VmTarget } from '../../../src/debugger/vm-target.ts'
import { configure } from '../../../src/machine/configuration.ts'
import { Pc } from '../../../src/machine/pc.ts'
import { findKernel } from '../../linux/kernel.ts'
import { buildGuest } from '../support/c-guest.ts'
import { Scene } from '../support/scene.ts'

const LINKED_AT = 0xffff_ffff_8100_0000n
const LARGE_PAGE = 0x20_0000n
const LIMIT = 120_000
const CMDLINE = 'console=ttyS0'
const MEMORY = 256 * 2 ** 20
/** Is called soon after `start_kernel`, and has printed something before. */
const LATER = 'vfs_caches_init'

const kernel = findKernel()
if (kernel === undefined) console.log("Debian's kernel is not in the cache (npm run fetch-kernel): skipped")

let open: Debugger[] = []
afterEach(() => {
  for (const session of open) session.dispose()
  open = []
})

const watched = async (symbols: readonly string[] = [], cmdline = CMDLINE): Promise<Scene> => {
  const files = symbols.map(path => ({ path, slide: 0n }))
  const session = await launch({ program: kernel?.image ?? '', symbols: files, cmdline, memory: MEMORY })
  open.push(session)
  return new Scene(session)
}

/** Nobody looks for a kernel here. */
const unwatched = async (): Promise<Scene> => {
  const image = { name: 'kernel', bytes: readFileSync(kernel?.image ?? '') }
  const outputs = { console: (_byte: number) => {} }
  const pc = await Pc.create(configure({ image, cmdline: CMDLINE, memory: MEMORY }), {
    console: byte => outputs.console(byte),
    debugConsole: () => {},
  })
  pc.boot()
  const target = new VmTarget(pc)
  outputs.console = byte => target.print('serial', byte)
  const session = new Debugger(target, new SymbolBook())
  open.push(session)
  return new Scene(session)
}

describe.skipIf(kernel === undefined)('a randomised Linux kernel', () => {
  test(
    'stops at functions that were asked for by name before it was decompressed; the guest does not notice',
    async () => {
      const scene = await watched()
      const { session } = scene
      const [start, later] = session.setFunctionBreakpoints(['start_kernel', LATER])
      expect([start.resolved, later.resolved]).toEqual([false, false])
      expect(await scene.next(() => session.resume())).toMatchObject({
        reason: 'breakpoint',
        breakpoints: [start.id],
      })
      const base = session.symbols.byName('_text')?.address ?? 0n
      expect(base).not.toBe(LINKED_AT)
      expect(base % LARGE_PAGE).toBe(0n)
      expect(scene.rip).toBe(session.symbols.byName('start_kernel')?.address)
      expect(scene.resolved.map(({ id, addresses }) => [id, addresses[0]])).toEqual([
        [start.id, scene.rip],
        [later.id, session.symbols.byName(LATER)?.address],
      ])
      const begins = { rip: scene.rip, instructions: scene.instructions }
      expect(await scene.next(() => session.resume())).toMatchObject({ breakpoints: [later.id] })

      const other = await unwatched()
      const places = [begins.rip, scene.rip]
      other.session.setAddressBreakpoints(places.map(address => ({ space: 'linear', address })))
      await other.next(() => other.session.resume())
      expect({ rip: other.rip, instructions: other.instructions }).toEqual(begins)
      await other.next(() => other.session.resume())
      expect(other.rip).toBe(scene.rip)
      expect(other.instructions).toBe(scene.instructions)
      expect(scene.output).toContain('Linux version')
      expect(other.output).toBe(scene.output)
    },
    LIMIT,
  )

  test(
    'is found where it is not randomised, too',
    async () => {
      const scene = await watched([], `${CMDLINE} nokaslr`)
      const { session } = scene
      const [start] = session.setFunctionBreakpoints(['start_kernel'])
      expect(await scene.next(() => session.resume())).toMatchObject({ breakpoints: [start.id] })
      expect(session.symbols.byName('_text')?.address).toBe(LINKED_AT)
      expect(scene.problems).toEqual([])
    },
    LIMIT,
  )

  test(
    'a vmlinux of another build is said and left out; names are those of the kernel that runs',
    async () => {
      const source = `
        const char linux_banner[] = "Linux version 6.0.0-other (me@here) #1 SMP";
        unsigned long init_task; void _stext(void) {} void start_kernel(void) {} void _start(void) {}`
      const other = buildGuest(source, ['-O1'])
      const scene = await watched([other.program])
      const { session } = scene
      expect(session.symbols.problems).toEqual([
        expect.stringMatching(/guest\.elf: is of another build than .*; its symbols are not used$/),
      ])
      expect(session.symbols.files).toEqual([])
      const [start] = session.setFunctionBreakpoints(['start_kernel'])
      expect(start.resolved).toBe(false)
      expect(await scene.next(() => session.resume())).toMatchObject({ breakpoints: [start.id] })
      expect(scene.rip).toBeGreaterThan(LINKED_AT)
    },
    LIMIT,
  )

  test(
    'a step goes on when the kernel is found in its middle',
    async () => {
      const scene = await watched()
      const { session } = scene
      const [start] = session.setFunctionBreakpoints(['start_kernel'])
      // Nothing returns there: the step is under way until the breakpoint comes.
      const report = await scene.next(() => session.runTo(0, 0x1000n))
      expect(report).toMatchObject({ breakpoints: [start.id] })
      expect(scene.rip).toBe(session.symbols.byName('start_kernel')?.address)
    },
    LIMIT,
  )

  test(
    'is looked for anew in a guest that begins anew',
    async () => {
      const scene = await watched()
      const { session } = scene
      const [start] = session.setFunctionBreakpoints(['start_kernel'])
      await scene.next(() => session.resume())
      const first = { rip: scene.rip, instructions: scene.instructions }
      session.restart()
      // Its place is known from before, as far as the run is the same run.
      expect(await scene.next(() => session.resume())).toMatchObject({ breakpoints: [start.id] })
      expect({ rip: scene.rip, instructions: scene.instructions }).toEqual(first)
    },
    LIMIT,
  )
})
