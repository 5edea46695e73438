// The page of the desk. Changes carry the header that the gateway asks for.
const by = (id) => document.getElementById(id);
const change = (path, body) => fetch(path, { method: 'POST', headers: { 'Gatehouse-CSRF': '1' }, body });

const problem = (text) => {
  by('problem').textContent = text;
  by('problem').hidden = false;
};

const said = async (answer) => {
  if (answer.status === 401) location.reload(); // the session is over: the gateway leads to the sign-in
  else if (answer.status === 403) problem('Your role may read here, not write: the gateway answered 403.');
  else problem((await answer.text()).trim() || 'That did not work.');
};

by('write').addEventListener('submit', async (event) => {
  event.preventDefault();
  const answer = await change('/notes', new URLSearchParams({ text: by('text').value }));
  if (answer.ok) location.reload();
  else await said(answer);
});

by('leave').addEventListener('click', async () => {
  const answer = await change('/.gatehouse/logout');
  if (answer.ok) location.assign((await answer.json()).continue);
  else await said(answer);
});

by('write').hidden = by('leave').hidden = false;
const session = await fetch('/.gatehouse/session');
if (session.ok) by('who').textContent = ' as ' + (await session.json()).name;
