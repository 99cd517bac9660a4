import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import { dirname, join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { temporaryFolder } from './process-kit.ts'
import { ROOT } from './sources.ts'
import { judge } from './tidy/all.ts'
import { FOLDERS, lint } from './tidy/lint.ts'
import { PLANTED } from './tidy/planted.ts'
import { parse } from './tidy/tree.ts'

/** A copy of the tree with all violations planted, each in a file of its own. */
async function plantedTree(t: TestContext): Promise<string> {
  const copy = await temporaryFolder(t)
  for (const name of [...FOLDERS, 'package.json', 'tsconfig.json', '.oxlintrc.json']) {
    fs.cpSync(join(ROOT, name), join(copy, name), { recursive: true })
  }
  fs.symlinkSync(join(ROOT, 'node_modules'), join(copy, 'node_modules'), 'junction')
  for (const { path, text, beside = {} } of PLANTED) {
    const file = join(copy, path)
    const was = fs.existsSync(file) ? fs.readFileSync(file, 'utf8') : ''
    for (const [name, content] of Object.entries({ [path]: text(was), ...beside })) {
      fs.mkdirSync(dirname(join(copy, name)), { recursive: true })
      fs.writeFileSync(join(copy, name), content)
    }
  }
  return copy
}

test('the linter and our own rules see every planted violation, each by its rule', async (t) => {
  const copy = await plantedTree(t)
  const said = [...lint(copy), ...judge(parse(copy))]
  for (const { name, path, caught } of PLANTED) {
    await t.test(name, () => {
      const own = said.filter((line) => line.startsWith(path))
      assert.ok(
        own.some((line) => caught.test(line)),
        `of ${path} they say: ${own.join('\n')}`,
      )
    })
  }
})
