/** gdb on QEMU's stub, told to do the same: a QEMU that stands before the first instruction, and a script for gdb. */

import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { type Guest, qemu } from './contestants.ts'

export function gdbVersion(): string | undefined {
  const { stdout, error } = spawnSync('gdb', ['--version'], { encoding: 'utf8' })
  return error === undefined ? stdout.split('\n')[0] : undefined
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer().once('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const address = server.address()
      server.close(() => (address !== null && typeof address === 'object' ? resolve(address.port) : reject()))
    })
  })
}

/** No script takes longer, or something is wrong. */
const LIMIT_MILLISECONDS = 60_000

/** Runs gdb commands on a guest under QEMU and returns what gdb printed. */
export async function gdbOnQemu(guest: Guest, commands: readonly string[], scratch: string): Promise<string> {
  const port = await freePort()
  const command = qemu(guest)
  const machine = spawn(command.program, [...command.arguments, '-S', '-gdb', `tcp:127.0.0.1:${port}`], {
    stdio: 'ignore',
  })
  const script = join(scratch, 'commands.gdb')
  const preamble = ['set pagination off', 'set confirm off', 'set architecture i386:x86-64', `target remote :${port}`]
  writeFileSync(script, [...preamble, ...commands, 'kill', 'quit', ''].join('\n'))
  try {
    await new Promise(resolve => setTimeout(resolve, 500))
    return await output(spawn('gdb', ['-q', '-nx', '-batch', '-x', script, guest.image]))
  } finally {
    machine.kill()
  }
}

function output(gdb: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = ''
    const limit = setTimeout(() => gdb.kill('SIGKILL'), LIMIT_MILLISECONDS)
    const read = (chunk: Buffer) => {
      text += chunk.toString('latin1')
    }
    gdb.stdout?.on('data', read)
    gdb.stderr?.on('data', read)
    gdb.on('error', reject)
    gdb.on('close', () => {
      clearTimeout(limit)
      resolve(text)
    })
  })
}
