/** An adapter in a process of its own, which is talked with by its standard input and output. */

import { type ChildProcess, spawn } from 'node:child_process'
import { FramingError, framed, MessageReader } from '../../protocol/framing.ts'
import type { AdapterCommand } from './adapter-command.ts'
import type { AdapterLink, AdapterLinkListener } from './adapter-link.ts'

/** Characters kept of what the process says on its standard error, for when it ends. */
const LAST_WORDS = 2000

export class AdapterProcess implements AdapterLink {
  readonly #process: ChildProcess
  readonly #reader = new MessageReader()
  #lastWords = ''
  /** What is wrong with the conversation or the process itself. */
  #fault = ''

  constructor({ command, args, env }: AdapterCommand) {
    this.#process = spawn(command, args, {
      env: { ...process.env, ...env },
      stdio: ['pipe', 'pipe', 'pipe'],
      windowsHide: true,
    })
  }

  listen({ message, ended }: AdapterLinkListener): void {
    const { stdin, stdout, stderr } = this.#process
    stdout?.on('data', (chunk: Buffer) => this.#receive(chunk, message))
    stderr?.on('data', (chunk: Buffer) => {
      this.#lastWords = `${this.#lastWords}${chunk.toString()}`.slice(-LAST_WORDS)
    })
    // It has ended: that is told when the process is gone.
    stdin?.on('error', () => undefined)
    this.#process.on('error', error => {
      this.#fault = error.message
      // What could not be started does not close either.
      if (this.#process.pid === undefined) ended(this.#fault)
    })
    this.#process.on('close', (code, signal) => {
      const how = signal === null ? `exit status ${code}` : `killed by ${signal}`
      // What we ended ourselves was ended for its fault.
      const why = this.#fault === '' ? how : this.#fault
      ended([why, this.#lastWords.trim()].filter(each => each !== '').join('; '))
    })
  }

  send(message: object): void {
    this.#process.stdin?.write(framed(JSON.stringify(message)))
  }

  dispose(): void {
    this.#process.kill()
  }

  #receive(chunk: Buffer, listener: (message: object) => void): void {
    if (this.#fault !== '') return
    try {
      for (const text of this.#reader.push(chunk)) {
        const message: unknown = JSON.parse(text)
        if (typeof message === 'object' && message !== null) listener(message)
      }
    } catch (error) {
      if (!(error instanceof FramingError) && !(error instanceof SyntaxError)) throw error
      // Where the next message begins is anybody's guess.
      this.#fault = error.message
      this.#process.kill()
    }
  }
}
