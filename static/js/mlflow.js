// Leads the links that MLflow clients print, #/experiments/<id>/runs/<id>, to the pages of this hub. Ids are matched strictly, so
// that no link leads anywhere else.

const RUN = /^#\/experiments\/[0-9a-zA-Z_-]{1,64}\/runs\/(run_[0-9a-z]{16})(?:[/?].*)?$/;
const PROJECT = /^#\/experiments\/(proj_[0-9a-z]{16})(?:[/?].*)?$/;

function leadOn() {
  const run = RUN.exec(location.hash);
  const project = PROJECT.exec(location.hash);
  if (run) location.replace(`/ui/runs/${run[1]}`);
  else if (project) location.replace(`/ui/projects/${project[1]}`);
  else document.getElementById("unknown-link").hidden = location.hash.length < 2;
}

leadOn();
addEventListener("hashchange", leadOn);
