/** What every scenario begins and ends with: a folder with the teaching kernels, a server, a window. */

import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Tools } from './install.ts'
import { Server } from './server.ts'
import { Workbench } from './workbench.ts'

export interface Surroundings {
  readonly tools: Tools
  /** For screenshots. */
  readonly directory: string
  /** For everything else: removed when the scenario has passed. */
  readonly work: string
  /** The `.vsix`. */
  readonly extension: string
  /** `guests/` of the repository. */
  readonly guests: string
}

export interface Beginning {
  readonly name: string
  /** Of `launch.json`, without `type` and `request`; paths are relative to the folder. */
  readonly configurations: readonly { readonly name: string; readonly program: string }[]
  /** Of VS Code. */
  readonly settings?: Readonly<Record<string, unknown>>
  /** Puts further files into the folder. */
  prepare?(folder: string): void
}

/** Runs what a person does in a window of its own; a failure leaves a screenshot. */
export async function inWindow(
  { tools, directory, work, extension, guests }: Surroundings,
  { name, configurations, settings = {}, prepare }: Beginning,
  run: (workbench: Workbench, folder: string) => Promise<void>,
): Promise<void> {
  const folder = join(work, 'workspace')
  for (const part of ['tour', 'entry', 'virtqueue', 'include', 'prebuilt'])
    cpSync(join(guests, part), join(folder, part), { recursive: true })
  mkdirSync(join(folder, '.vscode'))
  const launch = {
    version: '0.2.0',
    configurations: configurations.map(({ program, ...rest }) => ({
      ...{ type: 'ringside', request: 'launch', memory: '64M' },
      ...rest,
      program: `\${workspaceFolder}/${program}`,
    })),
  }
  writeFileSync(join(folder, '.vscode', 'launch.json'), JSON.stringify(launch, undefined, 2))
  prepare?.(folder)

  const server = await Server.start(tools, work, { extensions: [extension], settings })
  try {
    const workbench = await Workbench.open(tools.chromium, server.url, folder, join(directory, name))
    try {
      await run(workbench, folder)
    } catch (error) {
      await workbench.screenshot('failed')
      throw error
    } finally {
      await workbench.close()
    }
  } finally {
    server.stop()
  }
  rmSync(work, { recursive: true, force: true, maxRetries: 5 })
}

/** Of the first line with a text, from 1. */
export function lineOf(file: string, text: string): number {
  const index = readFileSync(file, 'utf8')
    .split('\n')
    .findIndex(line => line.includes(text))
  if (index < 0) throw new Error(`${file} has no line with ${text}`)
  return index + 1
}

export type Theme = keyof typeof THEMES

/** Themes that come with VS Code, and the class that the window then has. */
const THEMES = {
  dark: { name: 'Dark Modern', kind: 'vs-dark' },
  light: { name: 'Light Modern', kind: 'vs' },
  contrast: { name: 'Dark High Contrast', kind: 'hc-black' },
}

export const useTheme = (workbench: Workbench, theme: Theme): Promise<void> =>
  workbench.theme(THEMES[theme].name, THEMES[theme].kind)
