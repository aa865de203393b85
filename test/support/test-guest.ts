/** Guests of `guests/tests/`, assembled from source when a test asks for them. */

import { execFileSync } from 'node:child_process'
import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const sources = fileURLToPath(new URL('../../guests/tests/', import.meta.url))
let directory: string | undefined

/** Path of the assembled boot sector `guests/tests/<name>.asm`: a flat binary. */
export function assembleFlat(name: string): string {
  const output = outputPath(`${name}.bin`)
  execFileSync('nasm', ['-f', 'bin', '-o', output, `${name}.asm`], { cwd: sources })
  return output
}

/** Path of an ELF file that has the symbols and lines of the boot sector {@link assembleFlat}. */
export function bootSectorSymbols(name: string): string {
  const object = outputPath(`${name}.o`)
  const output = outputPath(`${name}.symbols`)
  execFileSync('nasm', ['-f', 'elf32', '-g', '-F', 'dwarf', '-o', object, `${name}.asm`], { cwd: sources })
  execFileSync('ld', ['-m', 'elf_i386', '-e', '0x7C00', '-Ttext', '0x7C00', '-o', output, object])
  return output
}

/** Path of the assembled 32-bit Multiboot kernel `guests/tests/<name>.asm`: an ELF32 file linked at 1 MB. */
export function assembleMultiboot(name: string): string {
  const object = outputPath(`${name}.o`)
  const output = outputPath(`${name}.elf`)
  execFileSync('nasm', ['-f', 'elf32', '-o', object, `${name}.asm`], { cwd: sources })
  execFileSync('ld', ['-m', 'elf_i386', '-n', '-e', 'start', '-Ttext', '0x100000', '-o', output, object])
  return output
}

function outputPath(name: string): string {
  directory ??= mkdtempSync(join(tmpdir(), 'ringside-guests-'))
  return join(directory, name)
}
