/** Processes of the extension host, and what they listen on, as Linux tells it. */

import { readdirSync, readFileSync, readlinkSync } from 'node:fs'

export interface Process {
  readonly pid: number
  readonly parent: number
  readonly commandLine: string
}

/** What the extension host has started and what that has started. */
export function descendants(): Process[] {
  const all = processes()
  const found = new Set([process.pid])
  for (const pid of found) for (const each of all) if (each.parent === pid) found.add(each.pid)
  return all.filter(({ pid }) => pid !== process.pid && found.has(pid))
}

export const adapters = (): Process[] =>
  descendants().filter(({ commandLine }) => /ringside\.mjs dap/.test(commandLine))

function processes(): Process[] {
  return readdirSync('/proc')
    .filter(name => /^\d+$/.test(name))
    .flatMap(name => {
      try {
        // proc(5): the name, in parentheses, may have anything in it.
        const fields = readFileSync(`/proc/${name}/stat`, 'utf8')
          .replace(/^.*\) /s, '')
          .split(' ')
        const commandLine = readFileSync(`/proc/${name}/cmdline`, 'utf8').replaceAll('\0', ' ').trim()
        return [{ pid: Number(name), parent: Number(fields[1]), commandLine }]
      } catch {
        // It has ended meanwhile.
        return []
      }
    })
}

/** Addresses that a process accepts connections at, as the kernel prints them: hexadecimal, with a port. */
export function listening(pid: number): string[] {
  const sockets = new Set(
    readdirSync(`/proc/${pid}/fd`).flatMap(fd => {
      try {
        const socket = /^socket:\[(\d+)\]$/.exec(readlinkSync(`/proc/${pid}/fd/${fd}`))
        return socket === null ? [] : [socket[1]]
      } catch {
        return []
      }
    }),
  )
  const LISTEN = '0A'
  return ['tcp', 'tcp6', 'udp', 'udp6'].flatMap(kind =>
    readFileSync(`/proc/${pid}/net/${kind}`, 'utf8')
      .split('\n')
      .slice(1)
      .map(line => line.trim().split(/\s+/))
      .filter(fields => sockets.has(fields[9]) && (kind.startsWith('udp') || fields[3] === LISTEN))
      .map(fields => `${kind} ${fields[1]}`),
  )
}
