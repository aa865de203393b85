/** The page of the guest's screen: asks for it ten times a second while the guest runs, draws it, and takes keys. */

import { render } from 'preact'
import { useLayoutEffect, useRef, useState } from 'preact/hooks'
import { connectPage, pageRoot } from '../pages/page-api.ts'
import { Keys, type KeyUse } from './keys.ts'
import { type HostMessage, isHostMessage, LONGEST_TEXT, type PageMessage, parseState, type Screen } from './messages.ts'
import { cursorBox, type Run, runsOf, type TextScreen, withoutBlanks } from './screen-model.ts'

/** Between an answer and the next question, while the guest runs. */
const PERIOD_MS = 100
/** After one that failed, such as before the guest is loaded. */
const PERIOD_AFTER_FAILURE_MS = 1000
/** Of letters that are fitted to the width, in pixels. */
const LARGEST_LETTERS = 24

type Machine = 'stopped' | 'running' | 'ended'

const page = connectPage<PageMessage, HostMessage>(isHostMessage)
const keys = new Keys()

let version: string | undefined
let timer: ReturnType<typeof setTimeout> | undefined

function look(): void {
  clearTimeout(timer)
  page.send({ type: 'look', ...(version === undefined ? {} : { since: version }) })
}

function lookIn(milliseconds: number): void {
  clearTimeout(timer)
  timer = setTimeout(look, milliseconds)
}

function Page() {
  const [machine, setMachine] = useState<Machine>('ended')
  const [screen, setScreen] = useState<Screen>()
  const [note, setNote] = useState('')
  const [fit, setFit] = useState(parseState(page.saved())?.fit ?? true)

  const answered = (): void => {
    if (machine === 'running') lookIn(PERIOD_MS)
  }
  page.useMessages(message => {
    switch (message.type) {
      case 'stopped':
      case 'running':
        setMachine(message.type)
        setNote('')
        return look()
      case 'ended':
        clearTimeout(timer)
        setNote('')
        return setMachine('ended')
      case 'screen':
        version = message.screen.version
        setScreen(message.screen)
        return answered()
      case 'unchanged':
        return answered()
      case 'typed':
        return setNote(message.note)
      case 'failed':
        setNote(message.message)
        if (machine === 'running') lookIn(PERIOD_AFTER_FAILURE_MS)
    }
  })

  const changeFit = (): void => {
    setFit(!fit)
    page.save({ fit: !fit })
  }
  return (
    <>
      <p id="status" role="status">
        {statusText(machine, screen)}
      </p>
      {screen?.kind === 'text' ? (
        <>
          <TextDisplay screen={screen} fit={fit} takesKeys={machine !== 'ended'} />
          <p id="note" role="status" aria-live="polite">
            {note}
          </p>
          {machine === 'ended' ? undefined : <LineField />}
          <label id="fit">
            <input type="checkbox" checked={fit} onChange={changeFit} /> Fit to the width
          </label>
        </>
      ) : (
        <p id="note" role="status" aria-live="polite">
          {note}
        </p>
      )}
    </>
  )
}

function statusText(machine: Machine, screen: Screen | undefined): string {
  if (machine === 'ended')
    return screen === undefined ? 'No guest is being debugged.' : 'The guest has ended. This is its last screen.'
  if (screen?.kind === 'graphics') return 'The guest has set a graphics mode, which is not shown.'
  if (screen?.kind === 'text' && screen.off) return 'The guest has switched its display off.'
  return ''
}

function TextDisplay({ screen, fit, takesKeys }: { screen: TextScreen; fit: boolean; takesKeys: boolean }) {
  const [captured, setCaptured] = useState(false)
  const display = useRef<HTMLDivElement>(null)
  const toggle = useRef<HTMLButtonElement>(null)
  const letters = useLetterSize(display, screen.columns)

  const letGo = (): void => {
    const held = keys.releaseAll()
    if (held.length > 0) page.send({ type: 'keys', keys: held.map(code => ({ code, down: false })) })
    setCaptured(false)
  }
  const press = (event: KeyboardEvent): void => {
    if (!takesKeys) return
    const use: KeyUse = keys.press(event, event.timeStamp, hasSelection())
    // Copying and pasting are the editor's: it hears of them.
    if (use === 'editor') return
    event.preventDefault()
    event.stopPropagation()
    if (use === 'guest') page.send({ type: 'keys', keys: [{ code: event.code, down: true }] })
    else toggle.current?.focus()
  }
  const release = (event: KeyboardEvent): void => {
    if (!keys.release(event.code)) return
    event.preventDefault()
    event.stopPropagation()
    page.send({ type: 'keys', keys: [{ code: event.code, down: false }] })
  }
  const paste = (event: ClipboardEvent): void => {
    const text = event.clipboardData?.getData('text/plain').slice(0, LONGEST_TEXT) ?? ''
    if (takesKeys && text !== '') page.send({ type: 'text', text })
  }
  return (
    <>
      <div
        id="screen"
        ref={display}
        class={screen.off ? 'off' : undefined}
        role="application"
        aria-label="Keyboard of the guest"
        aria-describedby="hint"
        // biome-ignore lint/a11y/noNoninteractiveTabindex: an application takes keys
        tabIndex={0}
        onFocus={() => setCaptured(takesKeys)}
        onBlur={letGo}
        onKeyDown={press}
        onKeyUp={release}
        onPaste={paste}
        onCopy={copySelection}
      >
        <Cells screen={screen} size={fit ? letters : undefined} />
      </div>
      <section class="hidden" aria-label="Text on the guest's screen">
        <pre id="text">{withoutBlanks(screen.rows.join('\n'))}</pre>
      </section>
      {takesKeys ? (
        <p id="hint">
          <button
            id="capture"
            type="button"
            class="link"
            ref={toggle}
            // The focus stays where it is until the click, which would find the keyboard released otherwise.
            onMouseDown={event => event.preventDefault()}
            onClick={() => (captured ? toggle : display).current?.focus()}
          >
            {captured ? 'Release keyboard' : 'Type into the guest'}
          </button>{' '}
          {captured ? 'All keys go to the guest, Tab and function keys too. Escape twice leaves.' : ''}
        </p>
      ) : undefined}
    </>
  )
}

/** The picture itself; its text is beside it for those who don't see it. */
function Cells({ screen, size }: { screen: TextScreen; size: number | undefined }) {
  const cursor = cursorBox(screen)
  const line = 'var(--line)'
  return (
    <pre aria-hidden="true" style={{ fontSize: size === undefined ? '' : `${size}px`, background: screen.palette[0] }}>
      {runsOf(screen).map((runs, row) => (
        <div key={row} class="row">
          {runs.map(run => (
            <RunSpan key={run.column} run={run} />
          ))}
        </div>
      ))}
      {cursor === undefined ? undefined : (
        <span
          class="cursor"
          style={{
            ...{ left: `${cursor.column}ch`, top: `calc(${cursor.top} * ${line})` },
            ...{ height: `calc(${cursor.height} * ${line})`, background: cursor.color },
          }}
        />
      )}
    </pre>
  )
}

function RunSpan({ run: { text, foreground, background, blink, alone } }: { run: Run }) {
  return (
    <span class={alone ? 'cell' : undefined} style={{ color: foreground, background }}>
      {blink ? <span class="blink">{text}</span> : text}
    </span>
  )
}

/** A line for those who can't type into the picture, such as with a keyboard on the screen. */
function LineField() {
  const [line, setLine] = useState('')
  return (
    <form
      id="type"
      onSubmit={event => {
        event.preventDefault()
        page.send({ type: 'text', text: `${line}\n` })
        setLine('')
      }}
    >
      <input
        id="line"
        type="text"
        aria-label="Line to type at the guest's keyboard"
        placeholder="A line to type, with Enter"
        spellcheck={false}
        autocomplete="off"
        maxLength={LONGEST_TEXT - 1}
        value={line}
        onInput={event => setLine(event.currentTarget.value)}
      />
      <button type="submit">Type</button>
    </form>
  )
}

/** @returns pixels at which so many columns are as wide as the element; undefined before it is measured. */
function useLetterSize(element: { readonly current: HTMLElement | null }, columns: number): number | undefined {
  const [size, setSize] = useState<number>()
  useLayoutEffect(() => {
    const { current } = element
    if (current === null) return undefined
    const measure = (): void => setSize(Math.min(LARGEST_LETTERS, current.clientWidth / columns / letterWidth(current)))
    const observer = new ResizeObserver(measure)
    observer.observe(current)
    measure()
    return () => observer.disconnect()
  }, [columns])
  return size
}

/** Width of a letter in its font's size. */
function letterWidth(parent: HTMLElement): number {
  const probe = document.createElement('pre')
  probe.className = 'probe'
  probe.textContent = '0'.repeat(100)
  parent.append(probe)
  const width = probe.getBoundingClientRect().width / 100 / 100
  probe.remove()
  return width > 0 ? width : 0.6
}

const hasSelection = (): boolean => document.getSelection()?.isCollapsed === false

function copySelection(event: ClipboardEvent): void {
  const text = document.getSelection()?.toString() ?? ''
  if (text === '') return
  event.clipboardData?.setData('text/plain', withoutBlanks(text))
  event.preventDefault()
}

render(<Page />, pageRoot())
