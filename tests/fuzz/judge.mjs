// Real Yjs beside the engine of the server: applies what was admitted, in the same batches, and says what it sees.
// One JSON line in, one out. argv: the folder of node_modules.
import { createRequire } from 'node:module'
import { createInterface } from 'node:readline'

const Y = createRequire(`${process.argv[2]}/`)('yjs')
let doc = new Y.Doc()

function look(of) {
  const clocks = [...Y.decodeStateVector(Y.encodeStateVector(of))].sort((a, b) => a[0] - b[0])
  return { text: of.getText('text').toString(), clocks, pending: of.store.pendingStructs !== null }
}

for await (const line of createInterface({ input: process.stdin })) {
  const asked = JSON.parse(line)
  let answer
  try {
    if (asked.anew) doc = new Y.Doc()
    doc.transact(() => {
      for (const update of asked.updates) Y.applyUpdate(doc, Buffer.from(update, 'base64'))
    })
    answer = { live: look(doc) }
    if (asked.state) {
      const loaded = new Y.Doc()
      Y.applyUpdate(loaded, Buffer.from(asked.state, 'base64'))
      answer.loaded = look(loaded)
    }
  } catch (error) {
    answer = { error: String(error) }
  }
  process.stdout.write(`${JSON.stringify(answer)}\n`)
}
