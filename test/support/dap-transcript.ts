/**
 * A DAP conversation as text, for golden files: every message that was exchanged is in it, so that a test fails on
 * anything that nobody asserted.
 */

import type { DapClient } from '../../scripts/dap-client.ts'

/** @param replace texts that differ from machine to machine, and what stands for them. */
export function transcriptText(client: DapClient, replace: Readonly<Record<string, string>> = {}): string {
  // Before anything is measured: how lines are broken must not depend on where the repository lies.
  const body = (value: unknown): string => (value === undefined ? '' : `\n${format(replaced(value, replace), '    ')}`)
  const lines = outputsTogether(client.transcript).map(message => {
    if (message.type === 'request' && 'arguments' in message) return `> ${message.command}${body(message.arguments)}`
    if ('request_seq' in message)
      return `< ${message.command} ${message.success ? 'done' : 'FAILED'}${body(message.body)}`
    return `< event ${'event' in message ? message.event : message.type}${'body' in message ? body(message.body) : ''}`
  })
  return `${lines.join('\n')}\n`
}

function replaced(value: unknown, replace: Readonly<Record<string, string>>): unknown {
  return JSON.parse(JSON.stringify(value), (_key, item: unknown) =>
    typeof item === 'string'
      ? Object.entries(replace).reduce((text, [from, to]) => text.replaceAll(from, to), item)
      : item,
  )
}

/** Where console output is cut depends on the clock: what comes between two other messages is one event a category. */
function outputsTogether(transcript: DapClient['transcript']): DapClient['transcript'] {
  const joined: DapClient['transcript'] = []
  let pending = new Map<string, string>()
  const flush = (): void => {
    for (const [category, output] of [...pending].sort())
      joined.push({ seq: 0, type: 'event', event: 'output', body: { category, output } })
    pending = new Map()
  }
  for (const message of transcript) {
    if ('event' in message && message.event === 'output') {
      const { category, output } = message.body
      pending.set(category, (pending.get(category) ?? '') + output)
    } else {
      flush()
      joined.push(message)
    }
  }
  flush()
  return joined
}

/** Indented JSON, with small objects and lists on one line. */
function format(value: unknown, indent: string): string {
  const flat = JSON.stringify(value)
  if (indent.length + flat.length <= 120 || typeof value !== 'object' || value === null) return indent + flat
  if (Array.isArray(value))
    return `${indent}[\n${value.map(item => format(item, `${indent}  `)).join(',\n')}\n${indent}]`
  const fields = Object.entries(value).map(([key, item]) => {
    const text = format(item, `${indent}  `)
    return `${indent}  ${JSON.stringify(key)}: ${text.trimStart()}`
  })
  return `${indent}{\n${fields.join(',\n')}\n${indent}}`
}
