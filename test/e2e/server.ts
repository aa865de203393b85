/** A VS Code workbench served to a browser, with a profile of its own. */

import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { createWriteStream, mkdirSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import type { Tools } from './install.ts'

const START_MILLISECONDS = 90_000

/** Nothing that asks, updates, or covers what is to be seen. */
const SETTINGS = {
  'chat.disableAIFeatures': true,
  'extensions.autoCheckUpdates': false,
  'extensions.autoUpdate': false,
  'git.enabled': false,
  // A folder that is not trusted says so in a bar, and not in a dialog over everything.
  'security.workspace.trust.startupPrompt': 'never',
  'telemetry.telemetryLevel': 'off',
  // Text of a terminal is in the page only when no GPU paints it.
  'terminal.integrated.gpuAcceleration': 'off',
  'workbench.secondarySideBar.defaultVisibility': 'hidden',
  'workbench.startupEditor': 'none',
}

export interface ServerOptions {
  /** `.vsix` files to install. */
  readonly extensions: readonly string[]
  /** Folders are not trusted until somebody says so; otherwise all are. */
  readonly restricted?: boolean
  /** Beside ours. */
  readonly env?: Readonly<Record<string, string>>
  /** Of the user, beside ours. */
  readonly settings?: Readonly<Record<string, unknown>>
}

export class Server {
  readonly url: string
  readonly #process: ChildProcess

  private constructor(url: string, process: ChildProcess) {
    this.url = url
    this.#process = process
  }

  /** @param directory for the profile and the server's log. */
  static async start(tools: Tools, directory: string, options: ServerOptions): Promise<Server> {
    const { extensions, restricted = false } = options
    const userData = join(directory, 'user-data')
    mkdirSync(join(userData, 'User'), { recursive: true })
    mkdirSync(join(directory, 'home'), { recursive: true })
    writeFileSync(join(userData, 'User', 'settings.json'), JSON.stringify({ ...SETTINGS, ...options.settings }))
    const config = join(directory, 'config.yaml')
    writeFileSync(config, '')
    const profile = [
      tools.codeServer,
      '--config',
      config,
      '--user-data-dir',
      userData,
      '--extensions-dir',
      join(directory, 'extensions'),
    ]
    const env = {
      ...process.env,
      HOME: join(directory, 'home'),
      PATH: `${join(tools.node, '..')}:${process.env.PATH}`,
      // Its sockets lie there too.
      TMPDIR: directory,
      ...options.env,
    }
    const installs = extensions.flatMap(extension => ['--install-extension', extension])
    execFileSync(tools.node, [...profile, ...installs], { env, stdio: 'pipe' })

    const port = await freePort()
    const quiet = [
      '--disable-telemetry',
      '--disable-update-check',
      ...(restricted ? [] : ['--disable-workspace-trust']),
    ]
    const plain = ['--disable-getting-started-override', '--ignore-last-opened', '--auth', 'none']
    const args = [...profile, ...quiet, ...plain, '--bind-addr', `127.0.0.1:${port}`]
    // A process group of its own: the extension host and its children end with it.
    const child = spawn(tools.node, args, { env, detached: true, stdio: ['ignore', 'pipe', 'pipe'] })
    const log = createWriteStream(join(directory, 'server.log'))
    child.stdout.pipe(log, { end: false })
    child.stderr.pipe(log, { end: false })
    const server = new Server(`http://127.0.0.1:${port}`, child)
    try {
      await server.#answers()
      return server
    } catch (error) {
      server.stop()
      throw error
    }
  }

  stop(): void {
    const { pid, exitCode } = this.#process
    if (pid !== undefined && exitCode === null) process.kill(-pid, 'SIGTERM')
  }

  async #answers(): Promise<void> {
    const deadline = Date.now() + START_MILLISECONDS
    for (;;) {
      const response = await fetch(`${this.url}/healthz`).catch(() => undefined)
      if (response?.ok) return
      if (this.#process.exitCode !== null) throw new Error(`code-server ended with status ${this.#process.exitCode}`)
      if (Date.now() > deadline) throw new Error(`code-server did not answer within ${START_MILLISECONDS / 1000} s`)
      await wait(250)
    }
  }
}

/** A port that nobody listens on, at least a moment ago. */
function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.on('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const address = server.address()
      server.close(() => {
        if (address !== null && typeof address === 'object') resolve(address.port)
        else reject(new Error('no port is free'))
      })
    })
  })
}
