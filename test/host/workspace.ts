/** The folders that the tests open, and programs that leave a mark when somebody runs them. */

import { chmodSync, cpSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { assembleMultiboot } from '../support/test-guest.ts'

const GUESTS = fileURLToPath(new URL('../../guests', import.meta.url))

/** Programs whose running can be seen afterwards. */
export interface Proofs {
  /** Where a program leaves a file of its own name. */
  readonly marks: string
  /** An executable file for every place of a configuration that names a file. */
  readonly image: string
  /** What the settings of a folder choose to debug with. */
  readonly adapter: string
}

export function writeProofs(directory: string): Proofs {
  const marks = join(directory, 'marks')
  mkdirSync(marks)
  const script = (path: string, text: string): string => {
    writeFileSync(path, text)
    chmodSync(path, 0o755)
    return path
  }
  const mark = JSON.stringify(join(marks, 'adapter'))
  return {
    marks,
    image: script(join(directory, 'image.sh'), `#!/bin/sh\ntouch '${join(marks, 'image')}'\n`),
    adapter: script(
      join(directory, 'adapter.mjs'),
      `import { writeFileSync } from 'node:fs'\nwriteFileSync(${mark}, '')\n`,
    ),
  }
}

/** A folder with the teaching kernels and their sources. */
export function writeWorkspace(directory: string, suite: string, { adapter }: Proofs): string {
  const folder = join(directory, 'workspace')
  for (const part of ['tour', 'entry']) cpSync(join(GUESTS, part), join(folder, part), { recursive: true })
  mkdirSync(join(folder, 'kernels'))
  cpSync(join(GUESTS, 'prebuilt', 'tour.elf'), join(folder, 'kernels', 'tour.elf'))
  cpSync(assembleMultiboot('echo'), join(folder, 'kernels', 'echo.elf'))
  writeFileSync(join(folder, 'kernels', 'notes.txt'), 'This is no kernel.\n')
  writeFileSync(join(folder, 'calls.S'), SOURCE)
  writeFileSync(join(folder, 'wrong.asm'), 'start:\n  mov rax, rbx\n  jmp nowhere_at_all\n')
  mkdirSync(join(folder, '.vscode'))
  // A folder that somebody else wrote may choose programs: that counts when it is trusted.
  const settings = suite === 'untrusted' ? { 'ringside.adapter.path': adapter } : {}
  writeFileSync(join(folder, '.vscode', 'settings.json'), JSON.stringify(settings))
  return folder
}

/** For the language server: two routines, of which one calls the other twice. */
const SOURCE = `.intel_syntax noprefix
.global outer
outer:
  call inner
  call inner
  ret
inner:
  mov cr3, rax
  ret
`
