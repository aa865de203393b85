/**
 * Debian's kernels of i386 as the debugger follows them: they put themselves anywhere in the low memory, and how much
 * there is of that decides, since runs are the same runs.
 */

import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import type { Debugger } from '../../src/debugger/debugger.ts'
import { launch } from '../../src/debugger/launch.ts'
import { KernelFollower } from '../../src/debugger/linux/follow-kernel.ts'
import { recognizeLinux } from '../../src/debugger/linux/kernel-tables.ts'
import { SymbolBook } from '../../src/debugger/symbol-book.ts'
import { readImage } from '../../src/machine/configuration.ts'
import { Scene } from '../debugger/support/scene.ts'
import { buildInitramfs } from '../linux/initramfs.ts'
import { findPackaged } from './packages.ts'

/** CONFIG_PAGE_OFFSET and CONFIG_PHYSICAL_ALIGN. */
const PAGE_OFFSET = 0xc000_0000n
const ALIGNMENT = 0x100_0000n
const LINKED_AT = PAGE_OFFSET + ALIGNMENT
const CMDLINE = 'console=ttyS0'
/** Is called soon after `start_kernel`. */
const LATER = 'vfs_caches_init'
/** Reads for ever, so that functions are called after the boot. */
const READER = '#!/bin/sh\necho reader: ready\nwhile :; do read -r line </init; done\n'
const LIMIT = 300_000

const busybox = findPackaged('busybox32')

describe.each(['686', '686-pae'] as const)("a randomised kernel of Debian's %s", name => {
  const program = findPackaged(name)
  if (program === undefined || busybox === undefined) {
    test.skip(`needs the packages of linux-image-${name} and busybox: npm run fetch-guests`)
    return
  }
  let scratch: string
  let initrd: string
  let open: Debugger[] = []
  /** In the smaller machine. */
  let slideOfLess: bigint | undefined

  beforeAll(() => {
    scratch = mkdtempSync(join(tmpdir(), 'ringside-kaslr-'))
    initrd = join(scratch, 'initramfs.gz')
    const reader = { kind: 'file', path: 'reader', data: Buffer.from(READER), executable: true } as const
    writeFileSync(initrd, buildInitramfs([reader], busybox))
  })
  afterAll(() => rmSync(scratch, { recursive: true }))
  afterEach(() => {
    for (const session of open) session.dispose()
    open = []
  })

  const scene = async (mebibytes: number, more: { symbols?: string; cmdline?: string } = {}): Promise<Scene> => {
    const { symbols, cmdline = `${CMDLINE} rdinit=/reader` } = more
    const files = symbols === undefined ? [] : [{ path: symbols, slide: 0n }]
    const session = await launch({ program, symbols: files, initrd, cmdline, memory: mebibytes * 2 ** 20 })
    open.push(session)
    return new Scene(session)
  }
  const addressOf = ({ session }: Scene, symbol: string): bigint => session.symbols.byName(symbol)?.address ?? 0n

  /** What somebody knows who looks for the kernel only now. */
  const foundNow = ({ session }: Scene): bigint | undefined => {
    const book = new SymbolBook()
    const image = recognizeLinux(program, readImage(program, 'program').bytes)
    new KernelFollower(book, { image }).locate(session.target.machine, session.vcpu(0))
    return book.byName('_text')?.address
  }

  test(
    'stops at functions that were asked for by name before it was decompressed, and after the boot',
    async () => {
      const guest = await scene(256)
      const { session } = guest
      const [start, later] = session.setFunctionBreakpoints(['start_kernel', LATER])
      expect([start.resolved, later.resolved]).toEqual([false, false])
      expect(await guest.next(() => session.resume())).toMatchObject({ breakpoints: [start.id] })
      const text = addressOf(guest, '_text')
      expect(text).toBeGreaterThan(LINKED_AT)
      expect(text % ALIGNMENT).toBe(0n)
      slideOfLess = text - LINKED_AT
      expect(guest.rip).toBe(addressOf(guest, 'start_kernel'))
      expect(guest.output).not.toContain('Linux version')
      expect(await guest.next(() => session.resume())).toMatchObject({ breakpoints: [later.id] })
      expect(guest.rip).toBe(addressOf(guest, LATER))
      expect(guest.output).toContain('Linux version')
      expect(foundNow(guest)).toBe(text)

      session.setFunctionBreakpoints([])
      expect(await guest.printed('reader: ready')).toMatchObject({ reason: 'pause' })
      const [read] = session.setFunctionBreakpoints(['vfs_read'])
      expect(await guest.next(() => session.resume())).toMatchObject({ breakpoints: [read.id] })
      expect(guest.rip).toBe(addressOf(guest, 'vfs_read'))
      expect(foundNow(guest)).toBe(text)
      expect(session.symbols.problems).toEqual([])
    },
    LIMIT,
  )

  test(
    'moves the symbols of its vmlinux, in a machine with other memory elsewhere; without KASLR it stays where it was linked',
    async () => {
      const fixed = await scene(512, { cmdline: `${CMDLINE} nokaslr` })
      const [begin] = fixed.session.setFunctionBreakpoints(['start_kernel'])
      expect(await fixed.next(() => fixed.session.resume())).toMatchObject({ breakpoints: [begin.id] })
      expect(addressOf(fixed, '_text')).toBe(LINKED_AT)
      const vmlinux = buildVmlinux(scratch, fixed)

      const guest = await scene(512, { symbols: vmlinux })
      const { session } = guest
      expect(session.symbols.problems).toEqual([])
      const [start] = session.setFunctionBreakpoints(['start_kernel'])
      expect(await guest.next(() => session.resume())).toMatchObject({ breakpoints: [start.id] })
      const slide = addressOf(guest, '_text') - LINKED_AT
      expect(session.symbols.files.map(file => [file.path, file.slide])).toEqual([[vmlinux, slide]])
      expect(slide).toBeGreaterThan(0n)
      expect(guest.rip).toBe(addressOf(fixed, 'start_kernel') + slide)
      // The chance of a kernel to choose the same place twice is small: then another amount of memory will do.
      expect(slide).not.toBe(slideOfLess)
      expect(session.symbols.problems).toEqual([])
    },
    LIMIT,
  )
})

/** A few symbols of a kernel that is not randomised, and its banner, as the package of its symbols has them. */
function buildVmlinux(folder: string, { session }: Scene): string {
  const { machine } = session.target
  const start = Number(LINKED_AT - PAGE_OFFSET)
  const image = Buffer.from(machine.readPhysical(start, Number(ALIGNMENT)) ?? [])
  // init/version.c has a weak one without the number of the build, too.
  const { 0: banner, index: at } = /Linux version [^\0\n]*#\d[^\0\n]*/.exec(image.toString('latin1')) ?? {
    0: '',
    index: 0,
  }
  const places: Record<string, bigint> = { linux_banner: LINKED_AT + BigInt(at) }
  for (const name of ['_text', '_stext', 'start_kernel', LATER])
    places[name] = session.symbols.byName(name)?.address ?? 0n
  // Each has a section of its own, where the kernel has it.
  const symbols = Object.keys(places).map(name => {
    const isText = name !== 'linux_banner'
    const contents = isText ? 'nop' : `.asciz "${banner}\\n"`
    const [flags, type] = isText ? ['ax', 'function'] : ['a', 'object']
    return `.section .at.${name}, "${flags}"\n.globl ${name}\n.type ${name}, @${type}\n${name}: ${contents}\n`
  })
  const path = join(folder, 'vmlinux')
  writeFileSync(`${path}.s`, `${symbols.join('')}.data\n.globl init_task\ninit_task: .long 0\n`)
  const starts = Object.entries(places).map(
    ([name, place]) => `-Wl,--section-start=.at.${name}=0x${place.toString(16)}`,
  )
  // _text and _stext are at one place.
  const flags = ['-m32', '-nostdlib', '-static', '-no-pie', '-Wl,--no-check-sections', '-Wl,--build-id=none']
  execFileSync('gcc', [...flags, '-Wl,-e,_text', ...starts, '-o', path, `${path}.s`])
  return path
}
