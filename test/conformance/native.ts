/** Executes cases on the processor of the host, by a C program that the test compiles. */

import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { CaseRecord, RECORD_SIZE } from './record.ts'

const SOURCE = fileURLToPath(new URL('native.c', import.meta.url))

/** Result of each case, in order. Needs gcc and an x86-64 host. */
export function runOnHost(cases: readonly CaseRecord[]): CaseRecord[] {
  const directory = mkdtempSync(join(tmpdir(), 'ringside-native-'))
  try {
    const [program, input, output] = ['native', 'cases', 'results'].map(name => join(directory, name))
    execFileSync('gcc', ['-O1', '-o', program, SOURCE])
    writeFileSync(input, Buffer.concat(cases.map(record => record.bytes)))
    execFileSync(program, [input, output])
    const results = readFileSync(output)
    if (results.length !== cases.length * RECORD_SIZE) throw new Error(`${SOURCE}: executed not all cases`)
    return cases.map(
      (_, index) => new CaseRecord(new Uint8Array(results.subarray(index * RECORD_SIZE).slice(0, RECORD_SIZE))),
    )
  } finally {
    rmSync(directory, { recursive: true })
  }
}
