/** The script of the translation's page: asks the extension, and draws what it answers. */

import { ACCESSES, type Access, isHostMessage, type PageMessage, parseState } from './messages.ts'
import type { Bit, End, Ept, Right, Step, TranslationModel } from './translation-model.ts'

declare function acquireVsCodeApi(): {
  postMessage(message: PageMessage): void
  getState(): unknown
  setState(state: unknown): void
}

const vscode = acquireVsCodeApi()
const form = find('question', HTMLFormElement)
const expression = find('expression', HTMLInputElement)
const access = find('access', HTMLSelectElement)
const status = find('status', HTMLElement)
const walk = find('walk', HTMLElement)
const words = find('words', HTMLElement)
const text = find('text', HTMLElement)

const saved = parseState(vscode.getState())
if (saved !== undefined) fill(saved.expression, saved.access)
else expression.value = '$rip'

form.addEventListener('submit', event => {
  event.preventDefault()
  ask()
})
access.addEventListener('change', ask)
window.addEventListener('message', ({ data }: MessageEvent<unknown>) => {
  if (!isHostMessage(data)) return
  switch (data.type) {
    case 'ask':
      fill(data.expression, data.access)
      return ask()
    case 'stopped':
      return ask()
    case 'running':
      return say('The guest is running.')
    case 'ended':
      draw(undefined)
      return say('No guest is being debugged.')
    case 'failed':
      draw(undefined)
      return say(data.message)
    case 'translated':
      say('')
      return draw(data.model)
  }
})
vscode.postMessage({ type: 'ready' })

function ask(): void {
  const wanted = expression.value.trim()
  if (wanted === '') return
  const how = chosenAccess()
  vscode.setState({ expression: wanted, access: how })
  vscode.postMessage({ type: 'translate', expression: wanted, access: how })
}

function fill(wanted: string, how: Access): void {
  expression.value = wanted
  access.value = how
}

const chosenAccess = (): Access => ACCESSES.find(known => known === access.value) ?? 'read'

function say(what: string): void {
  status.textContent = what
}

function draw(model: TranslationModel | undefined): void {
  words.hidden = model === undefined
  text.textContent = model?.text ?? ''
  if (model === undefined) {
    walk.replaceChildren()
    return
  }
  const { title, subtitle, steps, end } = model
  const start = make('section', 'node start', [
    make('h2', 'name', [link(title, { type: 'openMemory', memory: title })]),
    make('p', 'faint', [`guest-virtual; ${subtitle}`]),
  ])
  walk.replaceChildren(start, ...steps.flatMap(step => [arrow(), stepBox(step)]), arrow(), endBox(end))
}

function stepBox({ name, memory, place, value, bits, rights, ept }: Step): HTMLElement {
  const where = memory === undefined ? place : link(place, { type: 'openMemory', memory })
  return make('section', bits.length === 0 ? 'node missing' : 'node', [
    make('h2', 'name', [name, ' ', make('span', 'value', [value])]),
    make('p', 'faint', ['entry at ', where]),
    bits.length === 0 ? make('p', 'fault', ['not present']) : bitRow(bits),
    rightRow(rights),
    ...(ept === undefined ? [] : [eptBox(ept)]),
  ])
}

function bitRow(bits: readonly Bit[]): HTMLElement {
  return make(
    'p',
    'bits',
    bits.map(({ name, meaning }) => {
      const bit = make('span', 'bit', [name])
      bit.title = meaning
      return bit
    }),
  )
}

/** The state is said in words and by a line through it, not by colour alone. */
function rightRow(rights: readonly Right[]): HTMLElement {
  return make(
    'p',
    'rights',
    rights.map(({ name, allowed, lost }) => {
      const right = make('span', `right${allowed ? '' : ' denied'}${lost ? ' lost' : ''}`, [
        `${allowed ? '✓' : '✗'} ${name}`,
      ])
      right.title = lost
        ? `${name}: taken away by this entry`
        : `${name}: ${allowed ? 'allowed' : 'not allowed'} so far`
      return right
    }),
  )
}

function eptBox({ from, to, rights, steps }: Ept): HTMLElement {
  const rows = steps.map(step =>
    make('tr', '', [
      make('th', '', [step.name]),
      make('td', '', [link(step.memory, { type: 'openMemory', memory: step.memory })]),
      make('td', 'value', [step.value]),
      make('td', '', [step.rights]),
    ]),
  )
  const target = to === undefined ? make('span', 'fault', ['not mapped']) : `host ${to}`
  const box = make('details', 'ept', [
    make('summary', '', [`EPT ${rights}: ${from} → `, target]),
    make('table', '', [make('tbody', '', rows)]),
  ])
  return box
}

function endBox(end: End): HTMLElement {
  if (end.kind === 'fault') return make('section', 'node end', [make('p', 'fault', [end.fault])])
  const { gpa, hpa, size, rights, notes, ept, fault } = end
  const place = (name: string, memory: string): HTMLElement =>
    make('p', 'name', [`${name} `, link(memory, { type: 'openMemory', memory })])
  return make('section', 'node end', [
    make('h2', 'name', [`page of ${size}`]),
    place('guest-physical', `phys:${gpa}`),
    rightRow(rights),
    ...(notes.length === 0 ? [] : [make('p', 'faint', [notes.join(', ')])]),
    ...(ept === undefined ? [] : [eptBox(ept)]),
    hpa === undefined ? make('p', 'faint', ['no host frame']) : place('host-physical', `hpa:${hpa}`),
    ...(fault === undefined ? [] : [make('p', 'fault', [fault])]),
  ])
}

/** An arrow between two steps; what it says stands in the steps. */
function arrow(): SVGElement {
  const space = 'http://www.w3.org/2000/svg'
  const svg = document.createElementNS(space, 'svg')
  svg.setAttribute('class', 'arrow')
  svg.setAttribute('viewBox', '0 0 12 18')
  svg.setAttribute('aria-hidden', 'true')
  const path = document.createElementNS(space, 'path')
  path.setAttribute('d', 'M6 0v16M1 11l5 5 5-5')
  svg.append(path)
  return svg
}

function link(label: string, message: PageMessage): HTMLElement {
  const button = make('button', 'link', [label])
  button.setAttribute('type', 'button')
  button.title = 'Show this memory'
  button.addEventListener('click', () => vscode.postMessage(message))
  return button
}

/** Texts become text, never markup. */
function make(tag: string, className: string, children: readonly (Node | string)[]): HTMLElement {
  const element = document.createElement(tag)
  if (className !== '') element.className = className
  element.append(...children)
  return element
}

function find<E extends HTMLElement>(id: string, type: new () => E): E {
  const element = document.getElementById(id)
  if (element instanceof type) return element
  throw new Error(`the page has no ${id}`)
}
