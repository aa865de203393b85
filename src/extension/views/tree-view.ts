/** A tree view of VS Code that shows nodes, asks for them at each stop while it is visible, and is empty without a guest. */

import * as vscode from 'vscode'
import type { GuestSession } from '../adapter-line/adapter-lines.ts'
import { type MachineState, type SessionWatch, SHOWN_RUNNING_AFTER } from '../session-watch.ts'
import { type ShownNode, ShownTree } from './shown-tree.ts'
import { contextValue, markChanges, type Remembered, remember, type ViewNode } from './view-node.ts'

/** Asks the adapter; rejects when it refuses or is gone. */
export type Ask = GuestSession['request']

export interface ViewDefinition {
  /** As in `package.json`. */
  readonly id: string
  /** What stands there when there is nothing to show. */
  readonly empty?: string
  /** What it shows depends on the stops that are set. */
  readonly stops?: boolean
  /** It can be asked for while the guest runs. */
  readonly live?: boolean
  load(ask: Ask, session: GuestSession): Promise<readonly ViewNode[]>
}

export class MachineTree implements vscode.TreeDataProvider<ShownNode>, vscode.Disposable {
  readonly onDidChangeTreeData: vscode.Event<ShownNode[] | undefined>

  readonly #changed = new vscode.EventEmitter<ShownNode[] | undefined>()
  readonly #definition: ViewDefinition
  readonly #watch: SessionWatch
  readonly #view: vscode.TreeView<ShownNode>
  readonly #disposables: vscode.Disposable[]
  readonly #tree = new ShownTree()
  /** What the view said at the stop before this one, and what it says now. */
  #before: Remembered | undefined
  #last: Remembered | undefined
  /** The guest has run since. */
  #ran = false
  #runningSoon: NodeJS.Timeout | undefined
  /** The session whose nodes are shown. */
  #shown: string | undefined
  /** Counts loads: an answer that comes late is dropped. */
  #load = 0
  /** The guest went on or stopped while the view was hidden. */
  #stale = true

  constructor(definition: ViewDefinition, watch: SessionWatch) {
    this.onDidChangeTreeData = this.#changed.event
    this.#definition = definition
    this.#watch = watch
    this.#view = vscode.window.createTreeView(definition.id, { treeDataProvider: this, showCollapseAll: true })
    this.#disposables = [
      this.#changed,
      this.#view,
      watch.onDidChange(() => this.refresh()),
      this.#view.onDidChangeVisibility(({ visible }) => {
        if (visible && this.#stale) this.refresh()
      }),
    ]
  }

  get showsStops(): boolean {
    return this.#definition.stops === true
  }

  /** Asks again, if it is to be seen. */
  refresh(): void {
    this.#stale = true
    const state = this.#watch.state
    if (state.kind === 'running') this.#ran = true
    if (state.kind === 'none') this.#clear()
    else if (this.#view.visible) void this.#show(state)
  }

  getChildren(parent?: ShownNode): ShownNode[] {
    return [...(parent?.children ?? this.#tree.roots)]
  }

  getTreeItem({ node }: ShownNode): vscode.TreeItem {
    const { Collapsed, Expanded, None } = vscode.TreeItemCollapsibleState
    const open = node.expanded === true ? Expanded : Collapsed
    const label = {
      label: node.label,
      highlights: changedHere(node) ? [[0, node.label.length] as [number, number]] : [],
    }
    const item = new vscode.TreeItem(label, node.children === undefined || node.children.length === 0 ? None : open)
    item.id = node.id
    item.contextValue = contextValue(node)
    if (node.description !== undefined) item.description = node.description
    item.tooltip = node.tooltip ?? (node.description === undefined ? node.label : `${node.label}  ${node.description}`)
    const icon = iconOf(node)
    if (icon !== undefined) item.iconPath = icon
    item.accessibilityInformation = {
      label: [node.label, node.description ?? '', ...(node.changed ? ['changed'] : [])].join(' '),
    }
    if (node.click !== undefined) item.command = { ...CLICKS[node.click], arguments: [node] }
    return item
  }

  dispose(): void {
    clearTimeout(this.#runningSoon)
    for (const disposable of this.#disposables) disposable.dispose()
  }

  #clear(): void {
    this.#load++
    clearTimeout(this.#runningSoon)
    this.#forget()
    this.#shown = undefined
    this.#set([], undefined)
  }

  async #show(state: Exclude<MachineState, { kind: 'none' }>): Promise<void> {
    const load = ++this.#load
    clearTimeout(this.#runningSoon)
    const { session } = state
    if (this.#shown !== session.id) {
      this.#forget()
      this.#set([], undefined)
      this.#shown = session.id
    }
    if (state.kind === 'running' && this.#definition.live !== true) {
      const text =
        this.#tree.roots.length === 0 ? 'The guest is running; pause it to look.' : 'Running; this was the last stop.'
      this.#runningSoon = setTimeout(() => this.#say(text), SHOWN_RUNNING_AFTER)
      return
    }
    this.#stale = false
    try {
      const nodes = await this.#definition.load((command, args) => session.request(command, args), session)
      if (load !== this.#load) return
      // What is asked for again at the same stop, as after an edit, has changed since the same stop before.
      if (this.#ran) this.#before = this.#last
      this.#ran = false
      this.#last = remember(nodes)
      this.#set(markChanges(nodes, this.#before), nodes.length === 0 ? this.#definition.empty : undefined)
    } catch (error) {
      if (load !== this.#load) return
      this.#set([], `The debug adapter did not answer: ${error instanceof Error ? error.message : String(error)}`)
    }
  }

  #forget(): void {
    this.#before = undefined
    this.#last = undefined
  }

  #set(roots: readonly ViewNode[], message: string | undefined): void {
    const redrawn = this.#tree.show(roots)
    // First, at once: VS Code keeps what changes in a view within 200 ms of another change until they are over.
    if (redrawn === 'all') this.#changed.fire(undefined)
    else if (redrawn.length > 0) this.#changed.fire([...redrawn])
    this.#say(message ?? '')
  }

  /** VS Code shows no message for an empty one. */
  #say(message: string): void {
    if ((this.#view.message ?? '') !== message) this.#view.message = message
  }
}

const CLICKS = {
  stop: { command: 'ringside.toggleStop', title: 'Stop There, or No Longer' },
  code: { command: 'ringside.goToCode', title: 'Go to Code' },
}

/** The node itself has changed, not only what is under it. */
const changedHere = ({ changed, children }: ViewNode): boolean =>
  changed === true && !(children?.some(child => child.changed) ?? false)

function iconOf(node: ViewNode): vscode.ThemeIcon | undefined {
  const colour = node.changed ? new vscode.ThemeColor('ringside.changedForeground') : undefined
  if (node.icon !== undefined) return new vscode.ThemeIcon(node.icon, colour)
  return node.changed ? new vscode.ThemeIcon('circle-small-filled', colour) : undefined
}
