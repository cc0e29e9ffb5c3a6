/** A page that uploads a text and shows how far its steps are. */
export const page = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>Document pipeline</title>
<h1>Document pipeline</h1>
<form><textarea name="text" rows="8" cols="60">Some text of many words</textarea><br><button>Upload</button></form>
<table id="steps"></table>
<script>
document.querySelector('form').onsubmit = async (event) => {
  event.preventDefault()
  const body = new FormData(event.target).get('text')
  const { steps } = await (await fetch('/documents', { method: 'POST', body })).json()
  const table = document.querySelector('#steps')
  table.replaceChildren()
  for (const id of steps) {
    const row = table.insertRow()
    const socket = new WebSocket('/jobs/' + encodeURIComponent(id) + '/status')
    socket.onmessage = ({ data }) => {
      const { name, state, progress, output } = JSON.parse(data).job
      row.replaceChildren()
      const texts = [name, state, progress === undefined ? '' : Math.round(progress * 100) + ' %', output?.words ?? '']
      for (const text of texts) row.insertCell().textContent = text
    }
  }
}
</script>
</html>`
