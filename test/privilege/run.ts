/** Runs guests/rules/privilege.asm in the engine or under QEMU; what it sent to the debug console. */

import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { configure } from '../../src/machine/configuration.ts'
import { Pc } from '../../src/machine/pc.ts'

const SOURCE = fileURLToPath(new URL('../../guests/rules/privilege.asm', import.meta.url))
const MEMORY = 64 * 2 ** 20
/** isa-debug-exit ends with (value << 1) | 1. */
const QEMU_DONE = 1

const OPTIONS = [
  ...[
    '-accel',
    'tcg',
    '-cpu',
    'max',
    '-m',
    '64',
    '-display',
    'none',
    '-serial',
    'none',
    '-monitor',
    'none',
    '-no-reboot',
  ],
  ...['-device', 'isa-debug-exit,iobase=0xf4,iosize=4'],
]

function withImage<T>(use: (image: string, directory: string) => T): T {
  const directory = mkdtempSync(join(tmpdir(), 'ringside-privilege-'))
  try {
    const image = join(directory, 'privilege.bin')
    execFileSync('nasm', ['-f', 'bin', '-o', image, SOURCE])
    return use(image, directory)
  } finally {
    rmSync(directory, { recursive: true })
  }
}

export async function runInEngine(): Promise<Uint8Array> {
  const bytes = withImage(image => readFileSync(image))
  const sent: number[] = []
  const pc = await Pc.create(configure({ image: { name: 'privilege', bytes }, memory: MEMORY }), {
    console: () => undefined,
    debugConsole: byte => sent.push(byte),
  })
  try {
    pc.boot()
    for (;;) {
      const stop = pc.vm.run({ instructions: 10_000_000 })
      if (stop.kind === 'debug-exit' && stop.value === 0) return Uint8Array.from(sent)
      if (stop.kind !== 'slice') throw new Error(`the guest ended with ${stop.kind}`)
    }
  } finally {
    pc.dispose()
  }
}

/** Version of the QEMU that is installed, or undefined. */
export function qemuVersion(): string | undefined {
  const { status, stdout } = spawnSync('qemu-system-x86_64', ['--version'], { encoding: 'utf8' })
  return status === 0 ? /version (\d+\.\d+)/.exec(stdout)?.[1] : undefined
}

export function runUnderQemu(): Uint8Array {
  return withImage((image, directory) => {
    const output = join(directory, 'output')
    const { status } = spawnSync('qemu-system-x86_64', [...OPTIONS, '-debugcon', `file:${output}`, '-kernel', image])
    if (status !== QEMU_DONE) throw new Error(`QEMU ended with status ${status}`)
    return readFileSync(output)
  })
}
