/** Programs that tests compile, with gcc, in a directory that is gone when the tests are. */

import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll } from 'vitest'

export const SUBJECT = join(import.meta.dirname, 'subject.c')

/** A new directory, removed after the tests of the file. */
export function scratchDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), 'ringside-symbols-'))
  afterAll(() => rmSync(directory, { recursive: true, force: true }))
  return directory
}

/** Compiles the subject to `directory`/`name`. */
export function compile(directory: string, name: string, ...options: readonly string[]): string {
  const output = join(directory, name)
  const fixed = ['-ffreestanding', '-fno-stack-protector', '-fno-pie', '-Wl,--build-id', '-o', output]
  const link = options.includes('-c') ? [] : ['-nostdlib', '-static', '-no-pie']
  execFileSync('gcc', [...fixed, ...link, ...options, SUBJECT])
  return output
}

/** The number of the line with a marker, such as `#square`. */
export function markedLine(marker: string): number {
  const index = readFileSync(SUBJECT, 'utf8')
    .split('\n')
    .findIndex(line => line.includes(`/* #${marker} */`))
  if (index < 0) throw new Error(`${SUBJECT} has no marker #${marker}`)
  return index + 1
}

export function isInstalled(program: string): boolean {
  try {
    execFileSync(program, ['--version'], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}

/** The ways of compiling that a debugger meets. */
export const FLAVOURS: readonly (readonly [string, ...string[]])[] = [
  ['DWARF 5, not optimized', '-gdwarf-5', '-O0'],
  ['DWARF 5, optimized', '-gdwarf-5', '-O2'],
  ['DWARF 4, not optimized', '-gdwarf-4', '-O0'],
  ['DWARF 4, optimized', '-gdwarf-4', '-O2'],
  ['DWARF 5, compressed', '-gdwarf-5', '-O1', '-gz'],
  ['DWARF 4, type units', '-gdwarf-4', '-O1', '-fdebug-types-section'],
  ['DWARF 5, type units', '-gdwarf-5', '-O1', '-fdebug-types-section'],
  ['DWARF 5, 64-bit format', '-gdwarf-5', '-gdwarf64', '-O2'],
  ['DWARF 5, 32-bit code', '-gdwarf-5', '-O1', '-m32'],
  ['DWARF 4, 32-bit code', '-gdwarf-4', '-O0', '-m32'],
]
