/** A JSON document that may be wrong: leaves are any text, and an object may repeat a name. */
export type Tree =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'array'; readonly items: readonly Tree[] }
  | { readonly kind: 'object'; readonly members: readonly (readonly [name: string, of: Tree])[] }

/** The tree of a value. */
export function toTree(value: unknown): Tree {
  if (Array.isArray(value)) return { kind: 'array', items: value.map(toTree) }
  if (typeof value !== 'object' || value === null) return leaf(JSON.stringify(value) ?? 'null')
  return { kind: 'object', members: Object.entries(value).map(([name, of]) => [name, toTree(of)]) }
}

export function leaf(text: string): Tree {
  return { kind: 'text', text }
}

/** The text of a tree. */
export function toText(tree: Tree): string {
  if (tree.kind === 'text') return tree.text
  if (tree.kind === 'array') return `[${tree.items.map(toText).join(',')}]`
  const members = tree.members.map(([name, of]) => `${JSON.stringify(name)}:${toText(of)}`)
  return `{${members.join(',')}}`
}

/** How many places a tree has: itself, and everything in it. */
export function placesOf(tree: Tree): number {
  if (tree.kind === 'text') return 1
  const parts = tree.kind === 'array' ? tree.items : tree.members.map(([, of]) => of)
  return 1 + parts.reduce((sum, part) => sum + placesOf(part), 0)
}

/** The tree with `change` made at its place number `place`, counted from 0 in depth-first order. */
export function changeAt(tree: Tree, place: number, change: (at: Tree) => Tree): Tree {
  if (place === 0) return change(tree)
  if (tree.kind === 'text') return tree
  let left = place - 1
  const inside = (part: Tree): Tree => {
    const size = placesOf(part)
    const hit = left >= 0 && left < size
    const changed = hit ? changeAt(part, left, change) : part
    left -= size
    return changed
  }
  if (tree.kind === 'array') return { kind: 'array', items: tree.items.map(inside) }
  return { kind: 'object', members: tree.members.map(([name, of]) => [name, inside(of)]) }
}
