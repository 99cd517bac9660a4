import { readFileSync, writeFileSync } from 'node:fs'
import { typesOf, type Document } from './types-of.ts'

/** Write the types of the SDK from docs/openapi.json. A test fails where they differ. */
const file = (path: string) => new URL(`../${path}`, import.meta.url)
const document = JSON.parse(readFileSync(file('docs/openapi.json'), 'utf8')) as Document
for (const [name, text] of Object.entries(await typesOf(document))) {
  writeFileSync(file(`sdk/typescript/src/${name}`), text)
}
