/** Executes cases on the processor of the host, by a C program that is compiled for it. */

import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { CaseRecord, RECORD_SIZE } from './record.ts'
import { LDT, userDescriptor } from './segments.ts'

const SOURCE = fileURLToPath(new URL('native.c', import.meta.url))
// The handler of the program may not touch what a case may have changed: no stack protector by FS, no red zone.
const OPTIONS = ['-O1', '-mno-red-zone', '-fno-stack-protector', '-mfsgsbase']

const USER_DESCRIPTOR_SIZE = 16
const HEADER_SIZE = 8 + 32 * USER_DESCRIPTOR_SIZE

/** Needs gcc, Linux on x86-64 with FSGSBASE; call {@link HostProcessor.release} at the end. */
export class HostProcessor {
  readonly #directory: string

  constructor() {
    this.#directory = mkdtempSync(join(tmpdir(), 'ringside-native-'))
    execFileSync('gcc', [...OPTIONS, '-o', this.#path('native'), SOURCE])
  }

  release(): void {
    rmSync(this.#directory, { recursive: true })
  }

  /** Result of each case, in order. */
  execute(cases: readonly CaseRecord[]): CaseRecord[] {
    const header = new Uint8Array(HEADER_SIZE)
    const view = new DataView(header.buffer)
    view.setUint32(0, cases.length, true)
    view.setUint32(4, LDT.length, true)
    LDT.forEach((_, index) => {
      header.set(new Uint8Array(userDescriptor(index).buffer), 8 + index * USER_DESCRIPTOR_SIZE)
    })
    const [input, output] = ['cases', 'results'].map(name => this.#path(name))
    writeFileSync(input, Buffer.concat([header, ...cases.map(record => record.bytes)]))
    execFileSync(this.#path('native'), [input, output])
    const results = new Uint8Array(readFileSync(output))
    if (results.length !== cases.length * RECORD_SIZE) throw new Error(`${SOURCE}: executed not all cases`)
    return cases.map((_, index) => new CaseRecord(results.subarray(index * RECORD_SIZE, (index + 1) * RECORD_SIZE)))
  }

  #path(name: string): string {
    return join(this.#directory, name)
  }
}
