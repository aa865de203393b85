/** Guests written inside a test: 32-bit flat code at 1 MiB, assembled by nasm, and a machine that runs it. */

import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { configure, type MachineOptions } from '../../../src/machine/configuration.ts'
import type { Host } from '../../../src/machine/host.ts'
import { Pc } from '../../../src/machine/pc.ts'
import type { VmStop } from '../../../src/vmm/vm-stop.ts'

export const hasNasm = spawnSync('nasm', ['-v']).error === undefined

const PRELUDE = `
bits 32
org 0x100000
%macro put 1                    ; one byte to the console
        mov al, %1
        mov dx, 0x3F8
        out dx, al
%endmacro
%macro leave_with 1             ; debug exit
        mov al, %1
        out 0xF4, al
%endmacro
        mov esp, 0x80000
`

export function assemble(source: string): Uint8Array {
  const directory = mkdtempSync(join(tmpdir(), 'ringside-flat-'))
  try {
    writeFileSync(join(directory, 'guest.asm'), PRELUDE + source)
    execFileSync('nasm', ['-f', 'bin', '-o', 'guest.bin', 'guest.asm'], { cwd: directory })
    return new Uint8Array(readFileSync(join(directory, 'guest.bin')))
  } finally {
    rmSync(directory, { recursive: true })
  }
}

export interface FlatGuest {
  readonly pc: Pc
  /** What it has written to the console. */
  shown(): string
  /** What it has written to the debug console. */
  debugShown(): string
  /** Runs in slices of that many instructions until something other than the end of a slice happens. */
  runToStop(slice?: number): VmStop
}

export async function flatGuest(
  image: Uint8Array,
  options: Partial<MachineOptions> = {},
  host?: Host,
): Promise<FlatGuest> {
  let text = ''
  let debugText = ''
  const configuration = configure({
    image: { name: 'guest', bytes: image },
    protocol: 'flat',
    memory: 4 * 2 ** 20,
    ...options,
  })
  const pc = await Pc.create(
    configuration,
    {
      console: byte => {
        text += String.fromCharCode(byte)
      },
      debugConsole: byte => {
        debugText += String.fromCharCode(byte)
      },
    },
    host,
  )
  return {
    pc,
    shown: () => text,
    debugShown: () => debugText,
    runToStop: (slice = 100_000) => {
      for (let slices = 0; slices < 1_000_000; slices++) {
        const stop = pc.vm.run({ instructions: slice })
        if (stop.kind !== 'slice') return stop
      }
      throw new Error('the guest does not stop')
    },
  }
}
