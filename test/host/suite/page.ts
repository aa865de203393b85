/** The page around the extension host, asked through the runner: what a person would see and do. */

import { BRIDGE, type PageAnswer, type PageQuestion } from '../page-questions.ts'
import { eventually } from './eventually.ts'

export async function ask(question: PageQuestion): Promise<unknown> {
  const response = await fetch(process.env[BRIDGE] ?? '', { method: 'POST', body: JSON.stringify(question) })
  const answer: PageAnswer = await response.json()
  if ('error' in answer) throw new Error(answer.error)
  return answer.value
}

export async function texts(selector: string): Promise<string[]> {
  const found = await ask({ ask: 'texts', selector })
  return Array.isArray(found) ? found.map(String) : []
}

export async function pages(): Promise<string[]> {
  const found = await ask({ ask: 'pages' })
  return Array.isArray(found) ? found.map(String) : []
}

/** Waits until an element says something; returns what. */
export function shows(selector: string, wanted: RegExp): Promise<string> {
  return eventually(
    `"${wanted.source}" in ${selector}`,
    async () => (await texts(selector)).find(text => wanted.test(text)),
    async () => `there is ${JSON.stringify((await texts(selector)).map(text => text.slice(0, 200)).slice(0, 20))}`,
  )
}

export const click = (selector: string, text: string): Promise<unknown> => ask({ ask: 'click', selector, text })
export const type = (text: string): Promise<unknown> => ask({ ask: 'type', text })
export const press = (key: string): Promise<unknown> => ask({ ask: 'press', key })
export const note = (text: string): Promise<unknown> => ask({ ask: 'note', text })

export async function lastChange(): Promise<number> {
  return Number(await ask({ ask: 'lastChange' }))
}

export const DIALOG = '.monaco-dialog-box'
export const QUICK_INPUT = '.quick-input-widget'
export const STATUS = '.statusbar-item'
/** Rows of our views, and what stands above or in place of them. */
export const VIEWS = '.sidebar .pane-body'
