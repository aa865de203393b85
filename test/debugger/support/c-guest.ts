/** A guest written in C and built by the test, started as a plain ELF image under the debugger. */

import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Debugger, StopReport } from '../../../src/debugger/debugger.ts'
import { VcpuSubject } from '../../../src/debugger/expression/subject.ts'
import { launch } from '../../../src/debugger/launch.ts'
import { Stack } from '../../../src/debugger/stack/stack.ts'

export interface BuiltGuest {
  /** Path of the ELF file. */
  readonly program: string
  /** Path of the ELF file with its symbols, where that is another. */
  readonly symbols?: string
  readonly source: string
  /** The line with `// #name`, from 1. */
  marker(name: string): number
}

/** @param flags of gcc, beside those that make a freestanding static file. */
export function buildGuest(source: string, flags: readonly string[] = []): BuiltGuest {
  const folder = mkdtempSync(join(tmpdir(), 'ringside-c-guest-'))
  process.on('exit', () => rmSync(folder, { recursive: true, force: true }))
  const path = join(folder, 'guest.c')
  const program = join(folder, 'guest.elf')
  writeFileSync(path, source)
  const fixed = ['-g', '-ffreestanding', '-nostdlib', '-static', '-no-pie', '-fno-pic', '-fcf-protection=none']
  const placed = ['-Wl,-Ttext-segment=0x200000', '-Wl,--build-id', '-mno-red-zone', '-fno-stack-protector']
  execFileSync('gcc', [...fixed, ...placed, ...flags, '-o', program, path], { stdio: ['ignore', 'ignore', 'inherit'] })
  return {
    program,
    source: path,
    marker(name) {
      const lines = readFileSync(path, 'utf8').split('\n')
      const index = lines.findIndex(line => line.includes(`// #${name}`))
      if (index < 0) throw new Error(`no marker ${name}`)
      return index + 1
    },
  }
}

/** Flags of gcc for code that has frame pointers, and no `.eh_frame`. */
export const FRAME_POINTERS_ALONE = ['-fno-omit-frame-pointer', '-fno-asynchronous-unwind-tables']

/** GCC makes `.debug_frame` of every file with debugging information. */
export function withoutFrameTables(built: BuiltGuest): BuiltGuest {
  execFileSync('objcopy', ['--remove-section=.debug_frame', built.program])
  return built
}

export class GuestUnderTest {
  readonly debugger: Debugger
  readonly built: BuiltGuest
  #resolve: (report: StopReport) => void = () => {}

  private constructor(attached: Debugger, built: BuiltGuest) {
    this.debugger = attached
    this.built = built
    attached.listener = {
      stopped: report => this.#resolve(report),
      output: () => {},
      ended: () => {},
      failed: error => {
        throw error
      },
      breakpointsResolved: () => {},
    }
  }

  static async start(built: BuiltGuest): Promise<GuestUnderTest> {
    return new GuestUnderTest(
      await launch({
        program: built.program,
        symbols: [{ path: built.symbols ?? built.program, slide: 0n }],
        cmdline: '',
        memory: 16 * 2 ** 20,
      }),
      built,
    )
  }

  get machine() {
    return this.debugger.target.machine
  }

  get subject(): VcpuSubject {
    return new VcpuSubject(this.machine.vcpus[0], this.machine)
  }

  get stack(): Stack {
    return new Stack(this.debugger.symbols, this.machine.vcpus[0], this.machine)
  }

  addressesOf(marker: string): bigint[] {
    const found = this.debugger.symbols.breakpointsAt('guest.c', this.built.marker(marker))
    return found?.places.map(({ address }) => address) ?? []
  }

  stopAfter(action: () => void): Promise<StopReport> {
    return new Promise(resolve => {
      this.#resolve = resolve
      action()
    })
  }

  async runTo(addresses: readonly bigint[]): Promise<StopReport> {
    this.debugger.setAddressBreakpoints(addresses.map(address => ({ space: 'linear', address })))
    return await this.stopAfter(() => this.debugger.resume())
  }

  async runToMarker(marker: string): Promise<StopReport> {
    return await this.runTo(this.addressesOf(marker))
  }
}
