/** Assembles small guests with nasm, where it is installed. */

import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

export const hasNasm = spawnSync('nasm', ['-v']).status === 0
/** Appended to the title of tests that are skipped without it. */
export const nasmNote = hasNasm ? '' : ' (skipped: nasm is not installed)'

/** Machine code of a flat nasm source. */
export function assemble(source: string): Uint8Array {
  const directory = mkdtempSync(join(tmpdir(), 'ringside-asm-'))
  try {
    const [input, output] = [join(directory, 'guest.asm'), join(directory, 'guest.bin')]
    writeFileSync(input, source)
    execFileSync('nasm', ['-f', 'bin', '-o', output, input])
    return readFileSync(output)
  } finally {
    rmSync(directory, { recursive: true })
  }
}
